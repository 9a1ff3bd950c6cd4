// One end of a call as it is told to the other: how it is reached, and the certificate it is known by.
// No session description (SDP) ever crosses the wire: what libwebrtc says is cut down to these fields
// here, what another peer says is checked field by field, and a description is written from a template.
import { BlockList, isIP } from "node:net";

/** Addresses of one end: loopback and four interfaces, in two families, fit. */
export const CALL_ADDRESSES_MAX = 10;
/** Below it are services of other programs, which nobody shall make us send to. */
const PORT_MIN = 1024;
/** Bytes of one message on a data channel; also told to libwebrtc. */
export const MESSAGE_BYTES_MAX = 64 * 1024;

/** Where an end can be reached by UDP. */
export interface CallAddress {
  /** An IP address; never a name. */
  readonly host: string;
  readonly port: number;
  /** As ICE defines it: the highest is tried first. */
  readonly priority: number;
}

/** What the other end must know. */
export interface CallEnd {
  /** ICE's user name and password, fresh for each call. */
  readonly ufrag: string;
  readonly password: string;
  /** SHA-256 of the certificate that DTLS must show, 64 hex digits. */
  readonly fingerprint: string;
  readonly addresses: readonly CallAddress[];
}

/** What an end says breaks a rule. */
export class CallEndError extends Error {
  override readonly name = "CallEndError";
}

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8, "ipv4");
LOOPBACK.addAddress("::1", "ipv6");

/** Not one machine: nothing is sent there. */
const NOWHERE = new BlockList();
NOWHERE.addSubnet("0.0.0.0", 8, "ipv4");
NOWHERE.addSubnet("224.0.0.0", 3, "ipv4");
NOWHERE.addAddress("::", "ipv6");
NOWHERE.addSubnet("ff00::", 8, "ipv6");

/** Throws CallEndError unless every field is within its rules. */
export function checkCallEnd(end: CallEnd): void {
  check(/^[A-Za-z0-9+/]{4,32}$/.test(end.ufrag), "ufrag");
  check(/^[A-Za-z0-9+/]{22,64}$/.test(end.password), "password");
  check(/^[0-9a-f]{64}$/.test(end.fingerprint), "fingerprint");
  check(end.addresses.length <= CALL_ADDRESSES_MAX, "number of addresses");
  for (const { host, port, priority } of end.addresses) {
    check(isIP(host) !== 0 && !host.includes("%") && !contains(NOWHERE, host), "host");
    check(Number.isInteger(port) && port >= PORT_MIN && port <= 65_535, "port");
    check(Number.isInteger(priority) && priority >= 0 && priority < 2 ** 31, "priority");
  }
}

/** The end with its loopback addresses only: others are neither told nor sent to. */
export function onLoopback(end: CallEnd): CallEnd {
  return { ...end, addresses: end.addresses.filter(({ host }) => contains(LOOPBACK, host)) };
}

/** Reads what libwebrtc says of itself; throws CallEndError when that is not what it should be. */
export function callEndOf(sdp: string): CallEnd {
  const value = (name: string): string =>
    new RegExp(`^a=${name}:(.*?)\\r?$`, "m").exec(sdp)?.[1] ?? "";
  const fingerprint = /^sha-256 ((?:[0-9A-F]{2}:){31}[0-9A-F]{2})$/.exec(value("fingerprint"))?.[1];
  const addresses: CallAddress[] = [];
  for (const line of sdp.matchAll(
    /^a=candidate:\S+ 1 udp (?<priority>\d+) (?<host>\S+) (?<port>\d+) typ /gim,
  )) {
    const { host = "", port, priority } = line.groups ?? {};
    if (isIP(host) === 0 || addresses.length === CALL_ADDRESSES_MAX) continue;
    addresses.push({ host, port: Number(port), priority: Number(priority) });
  }
  const end = {
    ufrag: value("ice-ufrag"),
    password: value("ice-pwd"),
    fingerprint: fingerprint?.replaceAll(":", "").toLowerCase() ?? "",
    addresses,
  };
  checkCallEnd(end);
  return end;
}

/** Writes a checked end for libwebrtc, as the offer or the answer of a call. */
export function sdpOf(end: CallEnd, type: "offer" | "answer"): string {
  const fingerprint = end.fingerprint.toUpperCase().match(/../g)?.join(":");
  const lines = [
    "v=0",
    "o=- 1 1 IN IP4 127.0.0.1",
    "s=-",
    "t=0 0",
    "a=group:BUNDLE 0",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    "c=IN IP4 0.0.0.0",
    ...end.addresses.map(
      ({ host, port, priority }, index) =>
        `a=candidate:${index + 1} 1 udp ${priority} ${host} ${port} typ host generation 0`,
    ),
    `a=ice-ufrag:${end.ufrag}`,
    `a=ice-pwd:${end.password}`,
    `a=fingerprint:sha-256 ${fingerprint}`,
    `a=setup:${type === "offer" ? "actpass" : "active"}`,
    "a=mid:0",
    "a=sctp-port:5000",
    `a=max-message-size:${MESSAGE_BYTES_MAX}`,
  ];
  return `${lines.join("\r\n")}\r\n`;
}

function contains(list: BlockList, host: string): boolean {
  return list.check(host, isIP(host) === 6 ? "ipv6" : "ipv4");
}

function check(isRight: boolean, field: string): void {
  if (!isRight) throw new CallEndError(`the ${field} of a call's end breaks its rules`);
}
