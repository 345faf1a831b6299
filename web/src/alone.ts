/** One tab at a time: what is done in two tabs of one bundle cannot be put together. */

/** Bundles that this one has open: one that failed to open may be opened again. */
const held = new Set<string>();

/**
 * Wait until no other tab or window of this browser has the bundle open, and keep it from all others until this one is
 * closed, or crashes: the browser lets go of it then.
 *
 * @param waiting is called where another one has it
 * @param isWanted whether it is still to be opened here once the other one let go of it
 */
export function alone(bundle: string, waiting: () => void, isWanted: () => boolean): Promise<void> {
  const { locks } = navigator;
  // As in a page that is served to another machine without https.
  if (locks === undefined || held.has(bundle)) return Promise.resolve();
  return new Promise((resolve) => {
    const name = `voxledger-review ${bundle}`;
    const hold = () => {
      if (!isWanted()) return undefined;
      held.add(bundle);
      resolve();
      return new Promise(() => undefined);
    };
    locks
      .request(name, { ifAvailable: true }, (lock) => {
        if (lock !== null) return hold();
        waiting();
        void locks.request(name, hold);
        return undefined;
      })
      .catch(() => resolve());
  });
}
