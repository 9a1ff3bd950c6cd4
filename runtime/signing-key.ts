// Ed25519 keys as programs use them: public keys and signatures are raw bytes, which is how they travel.
// What is signed, and whose key it must be, is decided by those who ask.
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from "node:crypto";

export const PUBLIC_KEY_BYTES = 32;
export const SIGNATURE_BYTES = 64;

/** A private key, and the public one that belongs to it. */
export class SigningKey {
  /** 32 bytes. */
  readonly publicKey: Buffer;
  readonly #privateKey: KeyObject;

  static generate(): SigningKey {
    return new SigningKey(generateKeyPairSync("ed25519").privateKey);
  }

  /** Reads what `secret` gave; throws where it is no Ed25519 key. */
  static read(secret: string): SigningKey {
    const key = createPrivateKey(secret);
    if (key.asymmetricKeyType === "ed25519") return new SigningKey(key);
    throw new Error(`the key is of type ${key.asymmetricKeyType}: expected ed25519`);
  }

  private constructor(privateKey: KeyObject) {
    this.#privateKey = privateKey;
    const { x } = createPublicKey(privateKey).export({ format: "jwk" });
    this.publicKey = Buffer.from(x as string, "base64url");
  }

  /** The private key as text (PKCS #8 in PEM), to be kept where nobody else reads it. */
  get secret(): string {
    return this.#privateKey.export({ type: "pkcs8", format: "pem" }) as string;
  }

  /** 64 bytes. */
  sign(bytes: Uint8Array): Buffer {
    return sign(null, bytes, this.#privateKey);
  }
}

/** Whether a signature over these bytes was made with the private key of `publicKey`, 32 bytes. */
export function isSigned(bytes: Uint8Array, publicKey: Buffer, signature: Uint8Array): boolean {
  const x = publicKey.toString("base64url");
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  return verify(null, bytes, key, signature);
}
