/** Why a queued build waits: what is paused, what agents offer, who builds, what stands before it. */
import type { AuxiliaryPatterns } from "../builds/auxiliary.ts";
import type { Build } from "../builds/build.ts";
import { matchesPattern } from "../builds/name-pattern.ts";
import { canRead, freshMs, machineFor, type Offer } from "../builds/offer.ts";
import { runningOf, type BuildQueue, type QueueKey, type WaitingQueue } from "../builds/queue.ts";
import { croftOnlyReason } from "../builds/tasks.ts";
import type { Database } from "../database/database.ts";
import type { KnownAgent } from "./agents.ts";
import { inWords, type Pause, type Paused } from "./pauses.ts";

/** Agents remembered; one that names itself anew each time must not fill memory. */
const mostAgents = 10_000;
const mostNamed = 5;
/** Builds in a queue that are counted; who waits behind more of them waits long in any case. */
const mostCounted = 1000;

interface QueueState extends WaitingQueue {
  paused: boolean;
  running_limit: number | null;
  /** Of all queues of its target. */
  running: number;
}

/** What is known of the whole farm. */
interface Fleet {
  readonly agents: { list(withPrivate?: boolean): Promise<readonly KnownAgent[]> };
  readonly pauses: {
    list(): Promise<readonly Paused[]>;
    ofTarget(target: string): Promise<Pause | undefined>;
  };
  readonly queue: Pick<BuildQueue, "waiting">;
}

/** Agents that ask for tasks, as far as a build is concerned. */
interface Asking {
  /** They would be given a build. */
  offers: readonly Offer[];
  paused: readonly Offer[];
  silent: readonly Offer[];
  building: readonly Building[];
}

/** An agent that builds, and what it offered before. */
interface Building {
  offer: Offer;
  sessions: readonly { machine: string; toolchain: string }[];
  isPaused: boolean;
}

/** What agents have offered to this controller of late. */
export class WaitingReasons {
  readonly #database: Database;
  readonly #fleet: Fleet;
  readonly #now: () => number;
  readonly #offers = new Map<string, { offer: Offer; atMs: number }>();

  /** @param now a clock that is never set, in milliseconds */
  constructor(database: Database, fleet: Fleet, now: () => number = () => performance.now()) {
    this.#database = database;
    this.#fleet = fleet;
    this.#now = now;
  }

  /** Remembers what an agent offered. */
  note(offer: Offer): void {
    this.#offers.delete(offer.agent);
    this.#offers.set(offer.agent, { offer, atMs: this.#now() });
    const [oldest] = this.#offers.keys();
    if (this.#offers.size > mostAgents) this.#offers.delete(oldest!);
  }

  /** Forgets what an agent offered: it has something to do. */
  forget({ agent }: Offer): void {
    this.#offers.delete(agent);
  }

  /** Whether another host than some has offered of late what a queue needs. */
  isOfferedElsewhere(queue: QueueKey, than: readonly string[], croftOnly: boolean): boolean {
    return this.#fresh().some(
      (offer) =>
        !than.includes(offer.agent) && canRead(offer, croftOnly) && machineFor(queue, offer) !== undefined,
    );
  }

  #fresh(): Offer[] {
    const offers = [...this.#offers.values()];
    return offers.filter(({ atMs }) => this.#now() - atMs < freshMs).map(({ offer }) => offer);
  }

  /**
   * Why a build waits, in words that go on after "it waits: "; undefined if it is not queued. Without private builds, it is
   * told as if their agents worked for another controller.
   */
  async of(build: Build, withPrivate = true): Promise<string | undefined> {
    return (await this.ofAll([build], withPrivate))[0];
  }

  /**
   * Of each of some builds; the agents are looked at once for all.
   *
   * @param agents if they have been looked at already
   */
  async ofAll(
    builds: readonly Build[],
    withPrivate = true,
    agents?: readonly KnownAgent[],
  ): Promise<(string | undefined)[]> {
    if (!builds.some(({ state }) => state === "queued")) return builds.map(() => undefined);
    const asking = await this.#asking(withPrivate, agents);
    const reasons: (string | undefined)[] = [];
    for (const build of builds) reasons.push(await this.#reasonOf(build, asking, withPrivate));
    return reasons;
  }

  async #reasonOf(build: Build, asking: Asking, withPrivate: boolean): Promise<string | undefined> {
    if (build.state !== "queued") return undefined;
    const [queue] = await this.#database.query<QueueState>(
      `select *, ${runningOf("queues.target", "$2 or not private")}::integer as running from croft.queues where name = $1`,
      [build.queue, withPrivate],
    );
    if (!queue) return undefined;
    const pause = await this.#fleet.pauses.ofTarget(build.target);
    if (pause) return `${inWords(pause)} ${pause.kind === "all" ? "are" : "is"} paused${because(pause)}`;
    if (queue.paused) return "its queue is paused";
    if (queue.running_limit !== null && queue.running >= queue.running_limit)
      return `${queue.running} for target '${queue.target}' are being built, as many as may be at once`;
    return (await this.#lackOf(queue, build, asking)) ?? (await this.#placeOf(build, queue, asking));
  }

  /** Tells how many agents wait now that would take a build of a queue. */
  async idle(withPrivate = true): Promise<(queue: QueueKey, build: Build) => number> {
    const { offers } = await this.#asking(withPrivate);
    return (queue, build) => takersOf(build, queue, offers).length;
  }

  /** What the agents lack that would have to take it. */
  async #lackOf(queue: QueueState, build: Build, asking: Asking): Promise<string | undefined> {
    const { offers: fresh, paused, silent } = asking;
    const refused = new Set(build.refused_by);
    const isTaker = (offer: Offer) => mayTake(build, offer);
    const fitting = fresh.filter((offer) => machineFor(queue, offer) !== undefined);
    if (fitting.some(isTaker)) return undefined;
    const held = asking.building.filter((agent) => isTaker(agent.offer) && wouldTake(queue, agent));
    const busy = held
      .filter(({ isPaused }) => !isPaused)
      .reduce((sum, { sessions }) => sum + sessions.length, 0);
    const pausedNames = [
      ...new Set([
        ...namesOf(paused.filter(isTaker), queue),
        ...held.filter(({ isPaused }) => isPaused).map(({ offer }) => offer.agent),
      ]),
    ];
    if (busy > 0 && pausedNames.length > 0)
      return `all agents that could build it are busy (${busy}) or paused (${listed(pausedNames)})`;
    if (busy > 0) return `all agents that could build it are busy (${busy})`;
    if (pausedNames.length > 0) return `all agents that could build it are paused (${listed(pausedNames)})`;
    if (fitting.some(({ agent }) => refused.has(agent))) return await this.#refusalOf(build);
    if (fitting.length > 0)
      return `agents with such a machine are not croft's: ${croftOnlyReason(build.specification)}`;
    const silentNames = namesOf(silent.filter(isTaker), queue);
    if (silentNames.length > 0)
      return `no agent that could build it asks for tasks (not heard of any more: ${listed(silentNames)})`;
    return fresh.length === 0 ? "no agent asks this controller for tasks" : lackOfOffers(queue, fresh);
  }

  /** Of all controllers; what this one has heard itself is the newest there is of an agent. */
  async #asking(withPrivate: boolean, agents?: readonly KnownAgent[]): Promise<Asking> {
    const pauses = await this.#fleet.pauses.list();
    const isPaused = (agent: string) => pauses.some(({ kind, name }) => kind === "agent" && name === agent);
    const own = this.#fresh();
    const heardHere = new Set(own.map(({ agent }) => agent));
    const known = agents ?? (await this.#fleet.agents.list(withPrivate));
    const others = known.filter(({ name }) => !heardHere.has(name));
    const waiting = [...own, ...others.filter(({ waits }) => waits).map(({ offer }) => offer)];
    return {
      offers: waiting.filter(({ agent }) => !isPaused(agent)),
      paused: waiting.filter(({ agent }) => isPaused(agent)),
      silent: others.filter(({ state }) => state === "silent").map(({ offer }) => offer),
      building: known
        .filter(({ builds }) => builds.length > 0)
        .map(({ name, offer, builds }) => ({ offer, sessions: builds, isPaused: isPaused(name) })),
    };
  }

  /** What the hosts said that alone have the machine. */
  async #refusalOf({ id, refused_by }: Build): Promise<string> {
    const [last] = await this.#database.query<{ agent: string; fault: string }>(
      `select agent, fault from croft.sessions where build = $1 and agent = any($2::text[]) and fault is not null
       order by id desc limit 1`,
      [id, refused_by],
    );
    const hosts = `${listed(refused_by)} ${refused_by.length === 1 ? "has" : "have"}`;
    const reason = last && (refused_by.length === 1 ? last.fault : `${last.agent}: ${last.fault}`);
    return `only ${hosts} such a machine, and refused it (${reason ?? "no reason is known"})`;
  }

  async #placeOf(build: Build, queue: QueueState, { offers }: Asking): Promise<string> {
    // From the head of the queue on, as its index has it: what lies beyond need not be looked at.
    const [row] = await this.#database.query<{ before: number }>(
      `select count(*)::integer as before from croft.builds own, (
         select queue_priority, rank, id from croft.builds where queue = $2 and state = 'queued'
         order by queue_priority desc, rank, id limit $3
       ) as first
       where own.id = $1 and (-first.queue_priority, first.rank, first.id) < (-own.queue_priority, own.rank, own.id)`,
      [build.id, queue.name, mostCounted + 1],
    );
    const before = row?.before ?? 0;
    if (before > mostCounted) return `more than ${mostCounted} builds go before it`;
    const { faulty_host: host, refused_by, croft_only } = build;
    const takers = takersOf(build, queue, offers);
    const other = before === 0 ? await this.#queueBefore(queue, takers) : undefined;
    if (other) return `a build for target '${other.target}' goes before it, by its priority or its turn`;
    if (before === 0 && host !== null && this.isOfferedElsewhere(queue, [host, ...refused_by], croft_only))
      return nextFor(`an idle agent other than ${host}, which failed it,`);
    if (before === 0 && refused_by.length > 0)
      return nextFor(`an idle agent other than ${listed(refused_by)}, which refused it,`);
    if (before === 0) return nextFor("an idle agent");
    return `${before} build${before === 1 ? " goes" : "s go"} before it`;
  }

  /** The queue of which each of some agents would be given a build first, if that is another one. */
  async #queueBefore(queue: QueueState, takers: readonly Offer[]): Promise<WaitingQueue | undefined> {
    if (takers.length === 0) return undefined;
    const order = await this.#fleet.queue.waiting();
    const firsts = takers.map((offer) => order.find((one) => machineFor(one, offer) !== undefined));
    return firsts.some((first) => first === undefined || first.name === queue.name) ? undefined : firsts[0];
  }
}

/** Whether an agent can read a build's task, and has not refused it. */
function mayTake({ croft_only, refused_by }: Build, offer: Offer): boolean {
  return canRead(offer, croft_only) && !refused_by.includes(offer.agent);
}

/** Which agents would be given a build of a queue. */
function takersOf(build: Build, queue: QueueKey, offers: readonly Offer[]): Offer[] {
  return offers.filter((offer) => mayTake(build, offer) && machineFor(queue, offer) !== undefined);
}

/** Whether an agent could build something of a queue if it were not building. */
function wouldTake(queue: QueueKey, { offer, sessions }: Building): boolean {
  if (machineFor(queue, offer) !== undefined) return true;
  // What it is building on is not among the machines that it offered last
  const alone = { ...queue, auxiliary: null };
  return sessions.some(
    ({ machine, toolchain }) => machineFor(alone, { ...offer, toolchain, machines: [machine] }) !== undefined,
  );
}

/** What no agent offers that asks for tasks. */
function lackOfOffers(queue: QueueState, fresh: readonly Offer[]): string {
  if (fresh.some((offer) => machineFor(queue, { ...offer, mayHavePrivate: true }) !== undefined))
    return "it has secrets, and no agent with such a machine proves who it is (--auth-key) over https";
  const unlimited = { mayHavePrivate: true, takesVariables: true };
  if (fresh.some((offer) => machineFor(queue, { ...offer, ...unlimited }) !== undefined))
    return "it has variables, and no agent with such a machine hands them on: croft there is too old";
  if (fresh.some((offer) => machineFor(queue, { ...offer, ...unlimited, takesTrees: true }) !== undefined))
    return "it is a working tree, and no agent with such a machine may have one: croft there is too old, or proves no key (--auth-key)";
  const having = fresh.filter(({ machines }) => machines.some((name) => matchesPattern(queue.machine, name)));
  if (having.length === 0) {
    const offered = [...new Set(fresh.flatMap(({ machines }) => machines))];
    return `no agent offers a machine '${queue.machine}' (offered: ${listed(offered)})`;
  }
  const alone = { ...queue, auxiliary: null };
  if (queue.auxiliary && having.some((offer) => machineFor(alone, offer) !== undefined))
    return lackOfAuxiliaries(queue.auxiliary, having);
  const toolchains = [...new Set(having.map(({ toolchain }) => toolchain))];
  if (!toolchains.some((name) => matchesPattern(queue.toolchain, name)))
    return `no agent with such a machine has a toolchain '${queue.toolchain}' (there: ${listed(toolchains)})`;
  if (queue.interactive) return "no agent with such a machine takes interactive builds (--interactive)";
  return "agents with such a machine take interactive builds only";
}

/** What agents with a machine for the build lack besides. */
function lackOfAuxiliaries(patterns: AuxiliaryPatterns, offers: readonly Offer[]): string {
  const offered = [...new Set(offers.flatMap(({ auxiliaries = [] }) => auxiliaries.map(({ name }) => name)))];
  const [missing] = Object.entries(patterns).filter(
    ([, pattern]) => !offered.some((name) => matchesPattern(pattern, name)),
  );
  return missing
    ? `no agent offers an auxiliary machine '${missing[1]}' for '${missing[0]}' (offered: ${listed(offered)})`
    : "no agent with such a machine has all its auxiliary machines free, and the memory for them (--auxiliary-ram)";
}

/** The agents of offers that would do for a queue. */
function namesOf(offers: readonly Offer[], queue: QueueKey): string[] {
  return offers.filter((offer) => machineFor(queue, offer) !== undefined).map(({ agent }) => agent);
}

function nextFor(taker: string): string {
  return `it is next; ${taker} is about to take it`;
}

function because({ reason }: Pause): string {
  return reason === null ? "" : ` (${reason})`;
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, mostNamed).join(", ");
  return names.length > mostNamed ? `${shown}, …` : shown || "none";
}
