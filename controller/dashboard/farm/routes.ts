/** The pages of the whole farm, and the pauses that administrators make there. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { assertFailure } from "../../../os/failure.ts";
import { onceForAll } from "../../../os/once-for-all.ts";
import type { Build } from "../../builds/build.ts";
import { alongIndex } from "../../database/along-index.ts";
import type { Database } from "../../database/database.ts";
import { mayRead } from "../../routes/access.ts";
import { statusOf } from "../../routes/api.ts";
import { makePause, resumeSchema, type AskedPause } from "../../routes/fleet.ts";
import type { Served } from "../../routes/served.ts";
import { isAdministrator, type Visitor, visitorOf } from "../../routes/visitor.ts";
import { seesPrivate } from "../../secret-routes/readers.ts";
import { sendPage, sendRefusal } from "../sending.ts";
import { fleetPage } from "./fleet-page.ts";
import { overviewPage } from "./overview-page.ts";
import { Weeks } from "./week.ts";

const runningShown = 12;
const waitingShown = 8;
const failedShown = 8;

type Checked = (request: FastifyRequest, reply: FastifyReply) => Promise<Visitor | undefined>;

/** Adds the pages. After a change everybody asks for them who has them open: each is made once for all who ask at the same time. */
export function addFarmPages(server: FastifyInstance, served: Served): void {
  const reading = { onRequest: mayRead(served) };
  const weeks = new Weeks(served.controller.database);
  const overview = madeOnce(served, (withPrivate) => lookAtAll(served, weeks, withPrivate), overviewPage);
  const fleet = madeOnce(served, (withPrivate) => lookAtFleet(served, withPrivate), fleetPage);

  server.get("/", reading, async (request, reply) => {
    // Of a list that was here before: it says what it does not know.
    const query = /\?.+$/.exec(request.url)?.[0];
    if (query !== undefined) return reply.redirect(`/builds${query}`);
    return sendPage(reply, await overview(request));
  });
  server.get("/agents", reading, async (request, reply) => sendPage(reply, await fleet(request)));
}

/** What is shown is looked at once for all visitors who ask at the same time, and made into a page once for each of them. */
function madeOnce<Look>(
  served: Served,
  lookAt: (withPrivate: boolean) => Promise<Look>,
  pageOf: (look: Look, visitor: Visitor) => string,
): (request: FastifyRequest) => Promise<string> {
  const look = onceForAll(lookAt);
  const make = onceForAll(
    async ({ visitor, withPrivate }: { visitor: Visitor; withPrivate: boolean }) =>
      pageOf(await look(withPrivate), visitor),
    ({ visitor: { digest = "" }, withPrivate }) => `${withPrivate} ${digest}`,
  );
  return async (request) =>
    await make({
      withPrivate: await seesPrivate(served, request),
      visitor: await visitorOf(served, request),
    });
}

async function lookAtAll({ controller }: Served, weeks: Weeks, withPrivate: boolean) {
  const { builds, database, overview, pauses, waiting } = controller;
  const agents = await controller.agents.list(withPrivate);
  const next = await overview.next(waitingShown, withPrivate);
  const reasons = await waiting.ofAll(next, withPrivate, agents);
  return {
    counts: await builds.count(withPrivate),
    building: await builds.list({ state: "building", publicOnly: !withPrivate, limit: runningShown }),
    waiting: next.map((build, at) => ({ build, reason: reasons[at] })),
    failed: await failedLast(database, withPrivate),
    agents,
    pauses: await pauses.list(),
    week: await weeks.look(withPrivate),
  };
}

async function lookAtFleet({ controller }: Served, withPrivate: boolean) {
  const { overview, pauses } = controller;
  const agents = await controller.agents.list(withPrivate);
  return {
    agents,
    targets: await overview.targets(withPrivate, agents),
    machines: await overview.machines(withPrivate, agents),
    pauses: await pauses.list(),
  };
}

/** Adds what administrators do there; `checked`: who sent a form that they may send, or undefined if it was answered. */
export function addFleetForms(server: FastifyInstance, served: Served, checked: Checked): void {
  const action = (path: string, verb: "pause" | "resume") =>
    server.post(path, async (request, reply) => {
      const visitor = await checked(request, reply);
      if (!visitor) return reply;
      if (!isAdministrator(visitor))
        return sendRefusal(reply, 403, "This needs a token of the role 'admin'", visitor);
      const { kind, name, reason } = request.body as Record<string, unknown>;
      const asked = { kind, ...textIn("name", name) };
      if (!request.compileValidationSchema(resumeSchema)(asked))
        return sendRefusal(reply, 400, "The form is not as expected", visitor);
      try {
        await makePause(
          served.controller,
          verb,
          { ...(asked as AskedPause), ...textIn("reason", reason) },
          visitor.person!.name,
        );
        return reply.redirect("/agents", 303);
      } catch (error) {
        assertFailure(error);
        return sendRefusal(reply, statusOf(error), error.message, visitor);
      }
    });
  action("/agents/pause", "pause");
  action("/agents/resume", "resume");
}

/** A field that is empty is not there. */
function textIn(name: string, value: unknown): Record<string, string> {
  return typeof value === "string" && value.trim() !== "" ? { [name]: value.trim().slice(0, 500) } : {};
}

/** Of each status by its index, however rare it is. */
async function failedLast(database: Database, withPrivate: boolean): Promise<Build[]> {
  const alike = alongIndex({ status: "s.status" });
  return await database.query<Build>(
    `select b.* from unnest(array['error', 'abort', 'abnormal']) as s (status) cross join lateral (
       select * from croft.builds where ${alike.condition} and state = 'finished' and ($2 or not is_private)
       order by ${alike.newestFirst} limit $1
     ) as b order by b.finished_at desc, b.id desc limit $1`,
    [failedShown, withPrivate],
  );
}
