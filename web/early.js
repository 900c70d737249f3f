/* A classic script in <head>, so that the kept theme and language are there before the first paint. */

try {
  const theme = localStorage.getItem("kvcast.theme");
  if (theme) document.documentElement.dataset.theme = theme;
  document.documentElement.lang = localStorage.getItem("kvcast.language") ?? document.documentElement.lang;
} catch {
  // storage is forbidden here: the browser's own choice holds
}
