/* How two contexts of one browser notice each other's end at once: a lock that only the end releases. */

const locks = () => globalThis.navigator?.locks; // in secure contexts; elsewhere the beats of the port must do

/** Hold a lock of a new name until this context ends; the name, or null where there are no locks. */
export function holdLifeline() {
  if (!locks()) return null;
  const name = `kvcast-${Array.from(crypto.getRandomValues(new Uint32Array(3)), (part) => part.toString(36)).join("")}`;
  locks().request(name, () => new Promise(() => {})).catch(() => {});
  return name;
}

/** Call `ended` when the holder of `name` is gone; the function that is returned stops waiting. */
export function watchLifeline(name, ended) {
  if (!name || !locks()) return () => {};
  const abort = new AbortController();
  locks().request(name, { signal: abort.signal }, () => !abort.signal.aborted && ended()).catch(() => {});
  return () => abort.abort();
}
