// The part of `@roamhq/wrtc` that is used, with types of its own: the package's need those of a browser.
// It is loaded in the process of calls alone (`call-process.ts`): 26 MB of native code that has crashed
// in others' hands (decision 0011).
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);

export interface DataChannel {
  readonly label: string;
  readonly readyState: "connecting" | "open" | "closing" | "closed";
  binaryType: "arraybuffer";
  onopen: (() => void) | null;
  onclose: (() => void) | null;
  onmessage: ((event: { readonly data: string | ArrayBuffer }) => void) | null;
  send(data: string | Uint8Array): void;
  close(): void;
}

interface Description {
  readonly type: "offer" | "answer";
  readonly sdp: string;
}

export interface PeerConnection {
  readonly connectionState: string;
  readonly iceGatheringState: string;
  readonly localDescription: Description | null;
  onconnectionstatechange: (() => void) | null;
  onicegatheringstatechange: (() => void) | null;
  ondatachannel: ((event: { readonly channel: DataChannel }) => void) | null;
  createDataChannel(label: string, options: { readonly ordered: true }): DataChannel;
  createOffer(): Promise<Description>;
  createAnswer(): Promise<Description>;
  setLocalDescription(description: Description): Promise<void>;
  setRemoteDescription(description: Description): Promise<void>;
  close(): void;
}

/** A STUN or TURN server. */
export interface IceServer {
  readonly urls: string;
  readonly username?: string;
  readonly credential?: string;
}

interface Wrtc {
  RTCPeerConnection: new (options: { readonly iceServers: readonly IceServer[] }) => PeerConnection;
}

/** Whether npm has installed the package and its binary for this platform; loads neither. */
export function hasWrtc(): boolean {
  try {
    const main = require.resolve("@roamhq/wrtc");
    createRequire(main).resolve(`@roamhq/wrtc-${process.platform}-${process.arch}`);
    return true;
  } catch {
    return false;
  }
}

/** Loads the native code into this process. */
export function loadWrtc(): Wrtc {
  return require("@roamhq/wrtc") as Wrtc;
}
