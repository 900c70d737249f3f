/* What the silence of a link means: nothing yet, that it is to be asked, that it is in doubt, or its end. No I/O. */

const SILENCE_MOST_MS = 25_000;
const PING_AFTER_MS = 800; // while somebody looks
const DOUBT_AFTER_MS = 1800; // of silence, when the ping was not answered
const PROBE_MOST_MS = 2000;
const ASLEEP_MS = 5000; // a check this late means that the machine slept
const HEARTBEATS_MOST = 1.5;

export class Silence {
  #now;
  #heardAt = 0;
  #pingedAt = 0;
  #probedAt = 0; // when an answer was asked for that decides whether the link lives; 0: not asked
  #checkedAt;
  #heartbeatMs = 10_000;

  /** now(): milliseconds that go on in a sleeping laptop, where performance.now() may stand still. */
  constructor(now = Date.now) {
    this.#now = now;
    this.#checkedAt = now();
  }

  /** Something was heard; `hello` says how often the heart beats. */
  heard({ op, heartbeat }) {
    this.#heardAt = this.#now();
    this.#probedAt = 0;
    if (op === "hello") this.#heartbeatMs = 1000 * heartbeat;
  }

  /** Another link: what the last one was asked does not matter. */
  reset() {
    this.#probedAt = 0;
  }

  get isProbed() {
    return this.#probedAt > 0;
  }

  /** The link was asked, and must answer. */
  probed() {
    this.#probedAt = this.#now();
  }

  get isOverdue() {
    return this.#silentMs > HEARTBEATS_MOST * this.#heartbeatMs;
  }

  /** Whether the machine slept since this was called last. */
  slept() {
    const before = this.#checkedAt;
    this.#checkedAt = this.#now();
    return this.#checkedAt - before > ASLEEP_MS;
  }

  /** Whether a page that somebody looks at should hear something now. */
  get wantsPing() {
    return this.#silentMs > PING_AFTER_MS && this.#now() - this.#pingedAt > PING_AFTER_MS;
  }

  pinged() {
    this.#pingedAt = this.#now();
  }

  /** The link did not answer a probe. */
  get isDeaf() {
    return this.isProbed && this.#now() - this.#probedAt > PROBE_MOST_MS;
  }

  get isTooLong() {
    return this.#silentMs > SILENCE_MOST_MS;
  }

  /** What is shown may be old. isWatched: pings are sent, and an unanswered one tells sooner than the heartbeat. */
  isDoubtful(isWatched) {
    const isPinged = isWatched && this.#pingedAt > this.#heardAt;
    return isPinged ? this.#silentMs > DOUBT_AFTER_MS : this.isOverdue;
  }

  get #silentMs() {
    return this.#now() - this.#heardAt;
  }
}
