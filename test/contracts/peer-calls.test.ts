// The contract of the swarm over WebRTC data channels.
import { peerContract } from "./peer-contract.ts";
import { CallWay } from "./peer-way.ts";

peerContract("by calls", () => new CallWay());
