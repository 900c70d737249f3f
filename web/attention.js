/* What a page's life does to its connection: hidden, shown, put aside, asleep, off the network. */

/** listener: {show(), hide(), wake(), doubt(reason), suspend(), resume()}. Returns a function that ends it. */
export function attend(listener) {
  const page = globalThis.document;
  if (!page) return () => {};
  const heed = () => (page.hidden ? listener.hide() : listener.show());
  const handlers = [
    [page, "visibilitychange", heed],
    [page, "resume", listener.wake],
    [globalThis, "online", listener.wake],
    [globalThis, "offline", () => listener.doubt("The network is away.")],
    [globalThis, "pagehide", listener.suspend],
    [globalThis, "pageshow", ({ persisted }) => persisted && listener.resume()],
  ];
  for (const [target, name, handle] of handlers) target.addEventListener(name, handle);
  if (page.hidden) heed();
  return () => {
    for (const [target, name, handle] of handlers) target.removeEventListener(name, handle);
  };
}
