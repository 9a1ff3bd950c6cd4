// Where an etcd cluster is, and how to be let in: `etcd://host:port,host:port/prefix`, with certificates
// and a user beside it, because a URL is shown in logs and lists of processes.
import { readFileSync } from "node:fs";
import { isIP } from "node:net";

/** Under which all keys are, so that a cluster may serve others too. */
const PREFIX = "millrace";
/** Members: etcd advises seven at most. */
const HOSTS_MAX = 9;
const HOST = /^(?:[\w.-]+|\[[\da-fA-F:]+\]):\d{1,5}$/;
const PREFIX_PATTERN = /^[\w.-]+(?:\/[\w.-]+)*$/;

/** Files that let a program into a store; the password's is read without its last line break. */
export interface StoreAccess {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly user?: string;
  readonly passwordFile?: string;
}

/** Members, prefix, and what proves who we are. */
export interface EtcdAddress {
  readonly hosts: readonly string[];
  readonly prefix: string;
  readonly tls?: {
    readonly rootCertificate: Buffer;
    readonly certChain?: Buffer;
    readonly privateKey?: Buffer;
  };
  readonly user?: { readonly username: string; readonly password: string };
}

/** Reads the URL and the files; throws an Error that names what is wrong. */
export function etcdAddress(url: string, access: StoreAccess = {}): EtcdAddress {
  const [, list = "", path = ""] = /^etcd:\/\/([^/]*)(?:\/(.*))?$/.exec(url) ?? [];
  const hosts = list.split(",");
  const wrong = hosts.find((host) => !HOST.test(host));
  if (wrong !== undefined || hosts.length > HOSTS_MAX) {
    const what = wrong === undefined ? `${hosts.length} members` : JSON.stringify(wrong);
    throw new Error(
      `store ${JSON.stringify(url)} has ${what}: give etcd://HOST:PORT,HOST:PORT[/PREFIX], at most ${HOSTS_MAX} members`,
    );
  }
  if (path !== "" && !PREFIX_PATTERN.test(path)) {
    throw new Error(
      `store prefix ${JSON.stringify(path)} is not made of letters, digits, ".", "-", "_" and "/" between them`,
    );
  }
  const tls = tlsOf(access);
  // Node refuses to send an address as the name of a TLS server, and grpc-js 1.14 asks it to.
  const unnamed = hosts.find((host) => isIP(host.replace(/:\d+$/, "").replace(/^\[|\]$/g, "")));
  if (tls.tls !== undefined && unnamed !== undefined) {
    throw new Error(
      `store member ${unnamed} has no name to check its certificate by: with --store-ca give host names`,
    );
  }
  return { hosts, prefix: path === "" ? PREFIX : path, ...tls, ...userOf(access) };
}

function tlsOf({ ca, cert, key }: StoreAccess): Pick<EtcdAddress, "tls"> {
  if (cert !== undefined && ca === undefined) {
    throw new Error("a store certificate needs --store-ca too, to know the store by");
  }
  if ((cert === undefined) !== (key === undefined)) {
    throw new Error("--store-cert and --store-key go together: give both or neither");
  }
  if (ca === undefined) return {};
  const own = cert !== undefined &&
    key !== undefined && {
      certChain: fileBytes("--store-cert", cert),
      privateKey: fileBytes("--store-key", key),
    };
  return { tls: { rootCertificate: fileBytes("--store-ca", ca), ...own } };
}

function userOf({ user, passwordFile }: StoreAccess): Pick<EtcdAddress, "user"> {
  if (user === undefined && passwordFile === undefined) return {};
  if (user === undefined || passwordFile === undefined) {
    throw new Error("--store-user and --store-password-file go together: give both or neither");
  }
  const password = fileBytes("--store-password-file", passwordFile)
    .toString()
    .replace(/\r?\n$/, "");
  if (password === "") throw new Error(`--store-password-file ${passwordFile} is empty`);
  return { user: { username: user, password } };
}

function fileBytes(flag: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`${flag} cannot be read: ${reason}`, { cause });
  }
}
