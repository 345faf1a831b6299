/** Signatures as `ssh-keygen -Y sign` makes them, by a key that cannot leave this browser. */

const NAMESPACE = "voxledger-review";

const text = (value: string) => new TextEncoder().encode(value);

function field(value: Uint8Array): Uint8Array {
  const found = new Uint8Array(4 + value.length);
  new DataView(found.buffer).setUint32(0, value.length);
  found.set(value, 4);
  return found;
}

export function concat(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function base64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}

/** A new key; null where this browser cannot make one. */
export async function newKey(): Promise<CryptoKeyPair | null> {
  try {
    return (await crypto.subtle.generateKey({ name: "Ed25519" }, false, ["sign", "verify"])) as CryptoKeyPair;
  } catch {
    return null;
  }
}

async function blob(key: CryptoKey): Promise<Uint8Array> {
  const raw = new Uint8Array(await crypto.subtle.exportKey("raw", key));
  return concat(field(text("ssh-ed25519")), field(raw));
}

/** The line that the curator puts into `reviewers.yaml`. */
export async function publicLine(key: CryptoKey, comment: string): Promise<string> {
  return `ssh-ed25519 ${base64(await blob(key))} ${comment.replace(/[^\w.-]/g, "_")}`;
}

/** The name of a public key, as `ssh-keygen -l` prints it. */
export async function fingerprint(key: CryptoKey): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", (await blob(key)) as Uint8Array<ArrayBuffer>);
  return `SHA256:${base64(new Uint8Array(digest)).replace(/=+$/, "")}`;
}

/** An armoured signature of a message, by PROTOCOL.sshsig of OpenSSH. */
export async function sign(keys: CryptoKeyPair, message: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-512", message));
  const [namespace, reserved, algorithm] = [field(text(NAMESPACE)), field(text("")), field(text("sha512"))];
  const signed = concat(text("SSHSIG"), namespace, reserved, algorithm, field(digest));
  const raw = new Uint8Array(await crypto.subtle.sign({ name: "Ed25519" }, keys.privateKey, signed));
  const signature = field(concat(field(text("ssh-ed25519")), field(raw)));
  const version = new Uint8Array([0, 0, 0, 1]);
  const key = field(await blob(keys.publicKey));
  const lines = base64(concat(text("SSHSIG"), version, key, namespace, reserved, algorithm, signature)).match(/.{1,70}/g)!;
  return ["-----BEGIN SSH SIGNATURE-----", ...lines, "-----END SSH SIGNATURE-----", ""].join("\n");
}
