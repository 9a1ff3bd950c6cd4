// Whether a service that runs is well, by its checks and by its process: one check that is missed may be a busy
// machine, two in a row are an illness. It asks nothing itself.

/** Checks missed in a row after which a release counts as ill; there is one every 10 s. */
const MISSED_MAX = 2;

export class ServiceHealth {
  #isHealthy = false;
  #trouble = "";
  #missed = 0;

  /** By the last check. */
  get isHealthy(): boolean {
    return this.#isHealthy;
  }

  /** What is wrong with what runs; empty: nothing that is known. */
  get trouble(): string {
    return this.#trouble;
  }

  /** A check of what runs was answered so. */
  probed(healthy: boolean): void {
    this.#isHealthy = healthy;
    this.#missed = healthy ? 0 : this.#missed + 1;
    if (healthy) this.#trouble = "";
    else if (this.#missed >= MISSED_MAX) this.#trouble ||= "it answers its checks no more";
  }

  /** The check of a switch was answered so. */
  checked(healthy: boolean): void {
    this.#isHealthy = healthy;
  }

  /** The process has ended. */
  died(detail: string): void {
    this.#isHealthy = false;
    this.#trouble = detail;
  }

  /** A switch is over: something else runs, or nothing. */
  switched(isRunning: boolean): void {
    this.#trouble = "";
    this.#missed = 0;
    if (!isRunning) this.#isHealthy = false;
  }
}
