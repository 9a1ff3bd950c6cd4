// Tests of the swarm peer as transcripts: facts go in line by line, and lines that begin with ">" are
// all the commands that came out since the last such lines; "due 20s" says when the machine is to be woken.
// Times and bytes have units: 20s, 44K.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Bitfield, piecesOf } from "../../../core/swarm/bitfield.ts";
import type { SwarmEffect, SwarmInput } from "../../../core/swarm/facts.ts";
import type { Block, Message, PeerRole, RefuseReason } from "../../../core/swarm/message.ts";
import { SwarmPeer } from "../../../core/swarm/swarm-peer.ts";

/** Plays the script to the agent "me", or to the relay of that name, and compares what it commands. */
export function check(name: string, script: string, role: PeerRole = "agent"): void {
  test(name, () => {
    const machine = new SwarmPeer({ peer: "me", role, seed: 1 });
    // Peers of a test have few neighbours, which is seldom its subject.
    const isSeeking = script.includes("> seek");
    let now = 0;
    let heard: string[] = [];
    let expected: string[] = [];
    const compare = (before: string) => {
      if (expected.length > 0 || before === "") assert.deepEqual(heard, expected, before);
      if (expected.length > 0) heard = [];
      expected = [];
    };
    const lines = script.split("\n").map((line) => line.trim());
    for (const line of lines.filter((one) => one !== "")) {
      if (line.startsWith(">")) {
        if (line !== "> nothing") expected.push(line.slice(2));
        else assert.deepEqual(heard, [], `after ${now} ms`);
        continue;
      }
      compare(`before "${line}"`);
      if (line.startsWith("at ")) {
        now = milliseconds(line.slice(3));
        continue;
      }
      if (line.startsWith("due ")) {
        assert.equal(machine.deadline, milliseconds(line.slice(4)), `after ${now} ms`);
        continue;
      }
      const effects: SwarmEffect[] = [];
      machine.step(now, parse(line), effects);
      heard.push(...effects.filter(({ kind }) => kind !== "seek" || isSeeking).map(print));
    }
    compare("");
  });
}

function parse(line: string): SwarmInput {
  const [kind = "", ...words] = line.split(/\s+/);
  const [peer = "", second = ""] = words;
  switch (kind) {
    case "extended":
      return { kind, bytes: words.map(bytesOf) };
    case "wanted":
      return { kind, pieces: peer === "all" ? "all" : numbers(peer) };
    case "piece-added":
    case "piece-lost":
    case "piece-verified":
    case "piece-corrupt":
      return { kind, piece: Number(peer) };
    case "introduced":
      return { kind, peers: words.map((id) => ({ peer: id, role: roleOf(id) })) };
    case "forgotten":
      return { kind, peers: words };
    case "connected":
      return { kind, peer, role: roleOf(peer) };
    case "dial-failed":
    case "disconnected":
      return { kind, peer };
    case "received":
      return { kind, from: peer, message: messageOf(second, words.slice(2)) };
    case "block-stored":
      return { kind, from: peer, ...blockOf(words.slice(1)) };
    case "store-failed":
      return { kind, from: peer, piece: Number(second) };
    case "block-sent":
      return { kind, to: peer };
    case "read-failed":
      return { kind, to: peer, piece: Number(second) };
    case "resumed":
    case "wake":
      return { kind };
    default:
      throw new Error(`no such fact: ${line}`);
  }
}

function messageOf(kind: string, words: readonly string[]): Message {
  const piece = Number(words[0]);
  switch (kind) {
    case "bitfield": {
      const field = new Bitfield();
      for (const one of numbers(words[0] ?? "")) field.add(one);
      return { kind, bits: field.toBytes() };
    }
    case "have":
      return { kind, pieces: numbers(words[0] ?? "") };
    case "offer":
      return { kind, count: 1, pieces: numbers(words[0] ?? "") };
    case "got":
      return { kind };
    case "request":
    case "block":
      return { kind, ...blockOf(words) };
    case "cancel":
      return { kind, piece };
    case "refuse":
      return { kind, piece, reason: words[1] as RefuseReason };
    default:
      throw new Error(`no such message: ${kind}`);
  }
}

function print(effect: SwarmEffect): string {
  switch (effect.kind) {
    case "dial":
      return `dial ${effect.peer}`;
    case "disconnect":
      return `disconnect ${effect.peer}: ${effect.reason}`;
    case "send":
      return `send ${effect.to} ${printMessage(effect.message)}`;
    case "send-block":
      return `send-block ${effect.to} ${printBlock(effect)}`;
    case "store-block":
      return `store-block ${effect.from} ${printBlock(effect)}`;
    case "drop-block":
      return `drop-block ${effect.from}`;
    case "finish":
    case "discard":
      return `${effect.kind} ${effect.piece}`;
    case "leave-room":
    case "seek":
      return effect.kind;
    default:
      return effect satisfies never;
  }
}

function printMessage(message: Message): string {
  switch (message.kind) {
    case "bitfield":
      return `bitfield ${piecesOf(message.bits).join(",")}`;
    case "have":
      return `have ${message.pieces.join(",")}`;
    case "offer":
      return `offer ${message.pieces.join(",")}${message.count > 1 ? ` x${message.count}` : ""}`;
    case "got":
      return "got";
    case "request":
    case "block":
      return `${message.kind} ${printBlock(message)}`;
    case "cancel":
    case "decline":
      return `${message.kind} ${message.piece}`;
    case "refuse":
      return `refuse ${message.piece} ${message.reason}`;
    default:
      return message satisfies never;
  }
}

function printBlock(block: Block): string {
  return `${block.piece} ${block.offset / 1024}K+${block.bytes / 1024}K`;
}

/** "piece offset+bytes", as in "3 44K+44K". */
function blockOf(words: readonly string[]): Block {
  const [offset = "", bytes = ""] = (words[1] ?? "").split("+");
  return { piece: Number(words[0]), offset: bytesOf(offset), bytes: bytesOf(bytes) };
}

/** "0-2,5" is 0, 1, 2 and 5. */
function numbers(text: string): number[] {
  return text.split(",").flatMap((part) => {
    const [first = 0, last = first] = part.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

function bytesOf(text: string): number {
  return text.endsWith("K") ? Number(text.slice(0, -1)) * 1024 : Number(text);
}

function milliseconds(text: string): number {
  return text.endsWith("s") ? Number(text.slice(0, -1)) * 1000 : Number(text);
}

/** Relays are called r, r1, ... in scripts. */
function roleOf(peer: string): PeerRole {
  return peer.startsWith("r") ? "relay" : "agent";
}
