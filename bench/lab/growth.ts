// How what a run costs grows with what it has to do, its fixed part taken off: 1 where twice the work costs
// twice as much. Pure arithmetic.

/** One run: how much it had to do, and what that cost, in any units that all runs share. */
export interface CostedRun {
  readonly work: number;
  readonly cost: number;
}

/**
 * The cost's growth from the smaller run to the larger, over the growth of the work; 2: twice as fast as the work.
 * `fixed` is what a run with next to nothing to do costs. Throws where the smaller one costs no more than that.
 */
export function growthOf(smaller: CostedRun, larger: CostedRun, fixed: number): number {
  const [before, after] = [smaller.cost - fixed, larger.cost - fixed];
  if (before <= 0) throw new RangeError(`a run that costs ${smaller.cost}, no more than a start`);
  if (smaller.work <= 0 || larger.work <= smaller.work) {
    throw new RangeError(`from ${smaller.work} to ${larger.work} work does not grow`);
  }
  return after / before / (larger.work / smaller.work);
}
