// What a check of the simulated fleet found: a promise that does not hold.

/** A promise is broken; the name says which. */
export class FleetViolation extends Error {
  override readonly name = "FleetViolation";
  readonly promise: string;

  constructor(promise: string, what: string) {
    super(`${promise}: ${what}`);
    this.promise = promise;
  }
}

/** Throws where the promise does not hold. */
export function hold(isHeld: boolean, promise: string, what: () => string): asserts isHeld {
  if (!isHeld) throw new FleetViolation(promise, what());
}
