/* How two contexts of one browser notice each other's end at once: a lock that only the end releases. */

const locks = () => globalThis.navigator?.locks; // in secure contexts; elsewhere the beats of the port must do

/**
 * Hold a lock of a new name until this context ends; a promise of the name once it is held, or of null without locks.
 * Before it is held its name must not be told: whoever waits for it would get it at once, and take us for dead.
 */
export function holdLifeline() {
  if (!locks()) return Promise.resolve(null);
  const name = `kvcast-${Array.from(crypto.getRandomValues(new Uint32Array(3)), (part) => part.toString(36)).join("")}`;
  return new Promise((tell) => {
    const hold = () => {
      tell(name);
      return new Promise(() => {});
    };
    locks().request(name, hold).catch(() => tell(null));
  });
}

/** Call `ended` when the holder of `name` is gone; the function that is returned stops waiting. */
export function watchLifeline(name, ended) {
  if (!name || !locks()) return () => {};
  const abort = new AbortController();
  locks().request(name, { signal: abort.signal }, () => !abort.signal.aborted && ended()).catch(() => {});
  return () => abort.abort();
}
