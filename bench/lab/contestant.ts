// What a system must be able to do to take part in a race: bring a file from a seed to peers, each a
// process on a host of the lab.
import type { ChildProcess } from "node:child_process";
import type { LabNetwork } from "./network.ts";

/** What one race is about. */
export interface RaceSetting {
  readonly network: LabNetwork;
  /** Folder shared by all hosts, for torrents and tickets. */
  readonly folder: string;
  /** The file to bring; on the seed's disk. */
  readonly file: string;
  readonly fileBytes: number;
  /** The file is still being written while the race runs. */
  readonly isGrowing: boolean;
}

/** A process on a host, ready to begin. */
export interface LabPeer {
  readonly process: ChildProcess;
  /** Where its copy will be. */
  readonly copy: string;
  /** Lets it begin. */
  begin(): void;
  /** Resolves when its copy is whole; rejects when it ends before. */
  readonly done: Promise<void>;
}

export interface Contestant {
  readonly name: string;
  /** What is missing here, and how to get it; undefined: nothing. */
  missing(): string | undefined;
  /** Starts what a seed needs, and the seed; resolves when it is up. */
  startSeed(setting: RaceSetting): Promise<ChildProcess[]>;
  /** Starts a peer; resolves when it is up. It gets no byte of the file before `begin`. */
  startPeer(setting: RaceSetting, host: number, folder: string): Promise<LabPeer>;
}
