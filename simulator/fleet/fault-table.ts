// All faults that the fleet's simulation draws from.
import { BUILD_FAULTS } from "./build-faults.ts";
import { CLUSTER_FAULTS } from "./cluster-faults.ts";
import type { Fault } from "./fault.ts";
import { MACHINE_FAULTS } from "./machine-faults.ts";
import { RELEASE_FAULTS } from "./release-faults.ts";

export const FAULTS: readonly Fault[] = [
  ...CLUSTER_FAULTS,
  ...BUILD_FAULTS,
  ...MACHINE_FAULTS,
  ...RELEASE_FAULTS,
];
