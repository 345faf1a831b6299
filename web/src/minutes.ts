/** Time that a person spent on one class: only while the page is in focus and something is done. */

export const IDLE_MS = 20_000;

/** A clock that is told of everything a person does; pauses longer than `IDLE_MS` count as so much and no more. */
export class Clock {
  private last: number | null = null;

  /** @param add is given milliseconds that were spent */
  constructor(private readonly add: (ms: number) => void) {}

  /** A key, a click, a move: the time since the one before was spent, but for idle time. */
  active(now: number): void {
    if (this.last !== null) this.add(Math.max(0, Math.min(now - this.last, IDLE_MS)));
    this.last = now;
  }

  /** The page lost the focus, or another class is shown. */
  pause(now: number): void {
    if (this.last !== null) this.active(now);
    this.last = null;
  }
}
