// One call inside the process of calls: a peer connection with one data channel, from its first step to
// its end. It is told the other end's side and a local socket to serve; how long a step may take is
// the other process's business, which ends what takes too long.
import { type CallEnd, callEndOf, checkCallEnd, sdpOf } from "./call-end.ts";
import { type CallPurpose, DataPipe } from "./data-pipe.ts";
import type { DataChannel, PeerConnection } from "./wrtc.ts";

/** Name of the only data channel of a call. */
const CHANNEL = "millrace";
/** Where interfaces or ICE servers do not answer, the addresses known by then must do. */
const GATHER_MS_MAX = 2_000;

export class Call {
  readonly #connection: PeerConnection;
  /** Called once; nothing happens afterwards. */
  readonly #ended: (reason: string) => void;
  #pipe: DataPipe | undefined;
  #channel: DataChannel | undefined;
  #hasEnded = false;

  constructor(connection: PeerConnection, ended: (reason: string) => void) {
    this.#connection = connection;
    this.#ended = ended;
    connection.onconnectionstatechange = () => this.check();
  }

  /** Ends the call where it is over; asked now and then, because wrtc may lose an event. */
  check(): void {
    const { connectionState } = this.#connection;
    if (connectionState === "failed" || connectionState === "closed") {
      this.end(`the connection ${connectionState}`);
    } else if (this.#channel?.readyState === "closed") this.end("the other side closed the call");
  }

  /** First step of who offers. */
  async offer(): Promise<CallEnd> {
    this.#channel = this.#connection.createDataChannel(CHANNEL, { ordered: true });
    return this.#describe(await this.#connection.createOffer());
  }

  /** Second step of who offers: the other side has answered. */
  async connect(remote: CallEnd, purpose: CallPurpose): Promise<void> {
    checkCallEnd(remote);
    if (this.#channel !== undefined) this.#serve(this.#channel, purpose);
    const sdp = sdpOf(remote, "answer");
    await this.#connection.setRemoteDescription({ type: "answer", sdp });
  }

  /** The only step of who answers. */
  async answer(remote: CallEnd, purpose: CallPurpose): Promise<CallEnd> {
    checkCallEnd(remote);
    this.#connection.ondatachannel = ({ channel }) => {
      if (this.#channel !== undefined || channel.label !== CHANNEL) {
        this.end("the other side opened another channel");
        return;
      }
      this.#channel = channel;
      this.#serve(channel, purpose);
    };
    await this.#connection.setRemoteDescription({ type: "offer", sdp: sdpOf(remote, "offer") });
    return this.#describe(await this.#connection.createAnswer());
  }

  end(reason: string): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#pipe?.end(reason);
    this.#connection.onconnectionstatechange = null;
    this.#connection.ondatachannel = null;
    this.#connection.onicegatheringstatechange = null;
    this.#connection.close();
    this.#ended(reason);
  }

  /** Our side, once all of our addresses are known. */
  async #describe(description: { type: "offer" | "answer"; sdp: string }): Promise<CallEnd> {
    const connection = this.#connection;
    const gathered = new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, GATHER_MS_MAX);
      connection.onicegatheringstatechange = () => {
        if (connection.iceGatheringState !== "complete") return;
        clearTimeout(timer);
        resolve();
      };
    });
    await connection.setLocalDescription(description);
    await gathered;
    return callEndOf(connection.localDescription?.sdp ?? "");
  }

  #serve(channel: DataChannel, purpose: CallPurpose): void {
    this.#pipe ??= new DataPipe(channel, purpose, (reason) => this.end(reason));
  }
}
