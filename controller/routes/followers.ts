/** How many may follow something at a time, in all and from one address: each holds a connection open. */
import type { FastifyReply, FastifyRequest } from "fastify";
import type { Controller } from "../controller.ts";
import { refuse } from "./served.ts";
import { visitorOf } from "./visitor.ts";

const retryAfterSeconds = 30;

/** How many there may be. */
interface FollowerLimits {
  mostFollowers: number;
  mostFollowersPerAddress: number;
}

/** A hook for streams of events, one for all of them. */
export function followerLimit({ mostFollowers, mostFollowersPerAddress }: FollowerLimits) {
  const byAddress = new Map<string, number>();
  let all = 0;
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const address = networkOf(request.ip);
    const ofAddress = byAddress.get(address) ?? 0;
    if (all >= mostFollowers)
      return refuseFollower(reply, 503, `${all} follow this controller's builds, and that is all it takes`);
    if (ofAddress >= mostFollowersPerAddress)
      return refuseFollower(
        reply,
        429,
        `${ofAddress} follow this controller's builds from your address, and that is all it takes`,
        ["If a proxy stands in front of the controller, its address belongs into trusted-proxies."],
      );
    all++;
    byAddress.set(address, ofAddress + 1);
    reply.raw.once("close", () => {
      all--;
      const left = (byAddress.get(address) ?? 1) - 1;
      if (left > 0) byAddress.set(address, left);
      else byAddress.delete(address);
    });
  };
}

/**
 * A hook for streams of events: cuts one off when the token or session of who follows counts no more. Who comes back is
 * looked at as anybody else.
 */
export function endWhenRevoked(controller: Controller) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const { digest } = await visitorOf({ controller }, request);
    if (digest === undefined || reply.raw.destroyed) return;
    const held = controller.heldOpen.hold(digest, () => reply.raw.destroy());
    reply.raw.once("close", () => held[Symbol.dispose]());
  };
}

function refuseFollower(reply: FastifyReply, status: number, reason: string, hints: string[] = []) {
  return refuse(reply.header("Retry-After", String(retryAfterSeconds)), status, reason, hints);
}

/** One host has many addresses of IPv6, but usually one network of 64 bits. */
export function networkOf(ip: string): string {
  const [, mapped] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(ip) ?? [];
  if (mapped !== undefined) return mapped;
  if (!ip.includes(":")) return ip;
  const [head = "", tail] = ip.replace(/%.*$/, "").split("::");
  const before = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = Array<string>(Math.max(0, 8 - before.length - after.length)).fill("0");
  return [...before, ...(tail === undefined ? [] : zeros), ...after].slice(0, 4).join(":");
}
