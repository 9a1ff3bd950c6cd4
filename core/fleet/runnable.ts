// A release as an agent's decisions see it: its name, how it is run, and which are found on a machine.
// What is heard and commanded about them is in `agent-facts.ts`.

/** Hex digest of a manifest. */
export type ReleaseId = string;

/** How a release is run: a supervised process (port 0: a free one), a hook at each switch, or not at all. */
export type Way =
  | { readonly kind: "process"; readonly port: number }
  | { readonly kind: "hook" }
  | { readonly kind: "files" };

/** A release and how to run it; all that deciding needs of a release record. */
export interface Runnable {
  readonly release: ReleaseId;
  readonly way: Way;
}

/** What is found when an agent starts. */
export interface Findings {
  /** Releases whole on disk. */
  readonly onDisk: readonly ReleaseId[];
  /** Releases whose process lives and was adopted. */
  readonly running: readonly ReleaseId[];
  /** Where `current` points. */
  readonly pointed: ReleaseId | undefined;
}
