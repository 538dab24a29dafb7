/** The pages of the whole farm, and the pauses that administrators make there. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { assertFailure } from "../../../os/failure.ts";
import type { Build } from "../../builds/build.ts";
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

/** Adds the pages. */
export function addFarmPages(server: FastifyInstance, served: Served): void {
  const { agents, builds, database, overview, pauses, waiting } = served.controller;
  const reading = { onRequest: mayRead(served) };
  const weeks = new Weeks(database);

  server.get("/", reading, async (request, reply) => {
    // Of a list that was here before: it says what it does not know.
    const query = /\?.+$/.exec(request.url)?.[0];
    if (query !== undefined) return reply.redirect(`/builds${query}`);
    const withPrivate = await seesPrivate(served, request);
    const next = await overview.next(waitingShown, withPrivate);
    const look = {
      counts: await builds.count(withPrivate),
      building: await builds.list({ state: "building", publicOnly: !withPrivate, limit: runningShown }),
      waiting: await reasonsOf(next, (build) => waiting.of(build, withPrivate)),
      failed: await failedLast(database, withPrivate),
      agents: await agents.list(withPrivate),
      pauses: await pauses.list(),
      week: await weeks.look(withPrivate),
    };
    return sendPage(reply, overviewPage(look, await visitorOf(served, request)));
  });

  server.get("/agents", reading, async (request, reply) => {
    const withPrivate = await seesPrivate(served, request);
    const look = {
      agents: await agents.list(withPrivate),
      targets: await overview.targets(withPrivate),
      machines: await overview.machines(withPrivate),
      pauses: await pauses.list(),
    };
    return sendPage(reply, fleetPage(look, await visitorOf(served, request)));
  });
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

async function reasonsOf(builds: readonly Build[], reasonOf: (build: Build) => Promise<string | undefined>) {
  const reasons: { build: Build; reason: string | undefined }[] = [];
  for (const build of builds) reasons.push({ build, reason: await reasonOf(build) });
  return reasons;
}

/** Of each status by its index, however rare it is. */
async function failedLast(database: Database, withPrivate: boolean): Promise<Build[]> {
  return await database.query<Build>(
    `select b.* from unnest(array['error', 'abort', 'abnormal']) as s (status) cross join lateral (
       select * from croft.builds where status = s.status and state = 'finished' and ($2 or not is_private)
       order by id desc limit $1
     ) as b order by b.finished_at desc, b.id desc limit $1`,
    [failedShown, withPrivate],
  );
}
