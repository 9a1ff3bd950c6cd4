// The contract of the swarm over TCP.
import { peerContract } from "./peer-contract.ts";
import { TcpWay } from "./peer-way.ts";

peerContract("by TCP", () => new TcpWay());
