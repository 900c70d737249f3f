/* Choices that this browser keeps. Where storage is forbidden (a foreign frame) they last as long as the page. */

const own = new Map();

export function kept(name) {
  try {
    return localStorage.getItem(`kvcast.${name}`) ?? own.get(name) ?? null;
  } catch {
    return own.get(name) ?? null;
  }
}

export function keep(name, value) {
  own.set(name, value);
  try {
    localStorage.setItem(`kvcast.${name}`, value);
  } catch {
    // `own` has it
  }
}
