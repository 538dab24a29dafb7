/** What people change from the pages: sign in and out, submit, cancel, build again. Each is a form of a page of ours. */
import formBody from "@fastify/formbody";
import rateLimit from "@fastify/rate-limit";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { assertFailure } from "../../os/failure.ts";
import type { Person } from "../authentication/tokens.ts";
import { mayRead, requesterOf } from "../routes/access.ts";
import { buildParameters, checkSpace, statusOf } from "../routes/api.ts";
import { networkOf } from "../routes/followers.ts";
import type { Served } from "../routes/served.ts";
import { isOwnForm, reasonAgainstSignIn, sessionOf, setSession, visitorOf } from "../routes/visitor.ts";
import { addEventPages } from "./event-routes.ts";
import { addFleetForms } from "./farm/routes.ts";
import { addDeliveryPages } from "./messages/routes.ts";
import { sendPage, sendRefusal } from "./sending.ts";
import { signInPage } from "./sign-in-page.ts";
import { submitFrom } from "./submit.ts";
import { submitPage } from "./submit-page.ts";

/** The fields of a form; a name that comes twice has several values. */
type Fields = Readonly<Record<string, string | string[] | undefined>>;

/** More than people need who mistype. */
const attemptsPerMinute = 10;

/** Adds the forms and what they do; on a server of their own, as nobody else may send such bodies. */
export async function addForms(server: FastifyInstance, served: Served): Promise<void> {
  await server.register(formBody);
  await server.register(rateLimit, { global: false, keyGenerator: ({ ip }) => networkOf(ip) });
  addSignIn(server, served);
  addSubmit(server, served);
  addChanges(server, served);
  const checked = (request: FastifyRequest, reply: FastifyReply) => checkedVisitor(served, request, reply);
  addEventPages(server, served, checked);
  addFleetForms(server, served, checked);
  addDeliveryPages(server, served, checked);
}

function addSignIn(server: FastifyInstance, served: Served): void {
  const { configuration, signIns } = served.controller;
  const limit = { config: { rateLimit: { max: attemptsPerMinute, timeWindow: "1 minute" } } };

  server.get("/sign-in", async (request, reply) => {
    const to = localPath((request.query as Fields)["to"]);
    const visitor = await visitorOf(served, request);
    if (visitor.person) return reply.redirect(to, 303);
    return sendPage(reply, signInPage({ to, visitor, reason: reasonAgainstSignIn(configuration) }));
  });

  server.post("/sign-in", limit, async (request, reply) => {
    const fields = fieldsOf(request);
    const to = localPath(fields["to"]);
    const visitor = await visitorOf(served, request);
    const refused = reasonAgainstSignIn(configuration);
    if (refused !== undefined) return sendRefusal(reply, 403, refused);
    if (!isOwnForm(visitor, request, textOf(fields["form"]))) return refuseForm(reply);
    const value = await signIns.begin((textOf(fields["token"]) ?? "").trim());
    if (value !== undefined) {
      setSession(reply, configuration, value);
      return reply.redirect(to, 303);
    }
    return sendPage(reply.code(401), signInPage({ to, visitor, reason: undefined, isWrong: true }));
  });

  server.post("/sign-out", async (request, reply) => {
    const visitor = await visitorOf(served, request);
    if (!isOwnForm(visitor, request, textOf(fieldsOf(request)["form"]))) return refuseForm(reply);
    const value = sessionOf(request, configuration);
    if (value !== undefined) await signIns.end(value);
    setSession(reply, configuration, undefined);
    return reply.redirect("/builds", 303);
  });
}

function addSubmit(server: FastifyInstance, served: Served): void {
  const { builds } = served.controller;
  server.get("/submit", { onRequest: mayRead(served) }, async (request, reply) => {
    const visitor = await visitorOf(served, request);
    if (!visitor.mayChange) return reply.redirect("/sign-in?to=/submit", 303);
    return sendPage(reply, submitPage({ visitor, targets: builds.targetNames, fields: {} }));
  });

  server.post("/submit", async (request, reply) => {
    const fields = fieldsOf(request);
    const visitor = await checkedVisitor(served, request, reply);
    if (!visitor) return reply;
    try {
      await checkSpace(served.controller);
      const made = await builds.submit(
        submitFrom(fields, request),
        visitor.person?.name ?? null,
        requesterOf(visitor.person),
      );
      return reply.redirect(made.length === 1 ? `/builds/${made[0]!.id}` : "/builds", 303);
    } catch (error) {
      assertFailure(error);
      const page = submitPage({ visitor, targets: builds.targetNames, fields, trouble: error });
      return sendPage(reply.code(statusOf(error)), page);
    }
  });
}

function addChanges(server: FastifyInstance, served: Served): void {
  const { builds } = served.controller;
  const change = (
    name: string,
    work: (id: number, person: Person | undefined) => Promise<number | undefined>,
  ) =>
    server.post(`/builds/:id/${name}`, { schema: { params: buildParameters } }, async (request, reply) => {
      const visitor = await checkedVisitor(served, request, reply);
      if (!visitor) return reply;
      const { id: given } = request.params as { id: number };
      try {
        const isHidden = !visitor.person && (await builds.find(given))?.is_private === true;
        const id = isHidden ? undefined : await work(given, visitor.person);
        if (id === undefined) return sendRefusal(reply, 404, "There is no such build", visitor);
        return reply.redirect(`/builds/${id}`, 303);
      } catch (error) {
        assertFailure(error);
        return sendRefusal(reply, statusOf(error), error.message, visitor);
      }
    });
  change("cancel", async (id) => {
    if (!(await builds.find(id))) return undefined;
    await builds.cancel(id);
    return id;
  });
  change("pin", async (id) => (await builds.pin(id, true))?.id);
  change("unpin", async (id) => (await builds.pin(id, false))?.id);
  change("rebuild", async (id, person) => {
    await checkSpace(served.controller);
    const build = await builds.find(id);
    return build && (await builds.rebuild(build, person?.name ?? null, requesterOf(person))).id;
  });
}

/** Who sent a form that they may send; undefined if it was answered with a refusal. */
async function checkedVisitor(served: Served, request: FastifyRequest, reply: FastifyReply) {
  const visitor = await visitorOf(served, request);
  if (visitor.mayChange && isOwnForm(visitor, request, textOf(fieldsOf(request)["form"]))) return visitor;
  if (!visitor.mayChange && visitor.person)
    void sendRefusal(reply, 403, `The token '${visitor.person.name}' is for reading only`, visitor);
  else if (!visitor.mayChange) void sendRefusal(reply, 401, "Sign in to change something", visitor);
  else void refuseForm(reply);
  return undefined;
}

function refuseForm(reply: FastifyReply) {
  return sendRefusal(reply, 403, "The form is not of this session: go back, reload the page, and try again");
}

function fieldsOf({ body }: FastifyRequest): Fields {
  return typeof body === "object" && body !== null ? (body as Fields) : {};
}

function textOf(value: string | string[] | undefined): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** Where to go afterwards: a page of ours, wherever a link to the form says. */
function localPath(to: string | string[] | undefined): string {
  const path = textOf(to);
  return path !== undefined && /^\/(?![/\\])[!-~]*$/.test(path) ? path : "/builds";
}
