// A fault of the fleet's simulation: which row of the table it is of, and how it strikes. Whatever it does is undone
// at the healing at the latest.
import type { Scene } from "./scene.ts";

export interface Fault {
  /** Of the project's table of faults. */
  readonly row: number;
  readonly what: string;
  /** Of so many times that it is drawn it strikes once, as it makes a run long; left out: each time. */
  readonly oneIn?: number;
  /** Begins it at this moment, and has it end by itself where it does. */
  readonly strike: (scene: Scene) => void;
}
