/** Sending the return to the link that the bundle came with, which takes one upload. */

import { Refused } from "./bundle.ts";

/** Where the bundle says that the return goes; null where it says nothing, or nothing that is a link. */
export function linkOf(text: string): URL | null {
  try {
    const url = new URL((JSON.parse(text) as { put: string }).put);
    return /^https?:$/.test(url.protocol) ? url : null;
  } catch {
    return null;
  }
}

/**
 * Put a return under a link.
 *
 * @throws Refused where it did not arrive: `sentBefore`, `linkOver`, or `notSent`
 */
export async function put(link: URL, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  let status: number;
  try {
    const answer = await fetch(link, {
      ...{ method: "PUT", body: bytes, headers: { "If-None-Match": "*" } },
      ...{ credentials: "omit", redirect: "error", referrerPolicy: "no-referrer", cache: "no-store" },
    });
    status = answer.status;
  } catch (error) {
    // A browser does not say why: no network, or a server that lets no page send to it.
    throw new Refused("notSent", { host: link.host, how: error instanceof Error ? error.message : "" });
  }
  if (status === 412) throw new Refused("sentBefore");
  if (status === 403) throw new Refused("linkOver", { host: link.host });
  if (status < 200 || status > 299) throw new Refused("notSent", { host: link.host, how: String(status) });
}
