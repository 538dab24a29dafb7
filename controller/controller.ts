/** The parts of a running controller, put together. */
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { Failure, reasonOf } from "../os/failure.ts";
import type { Log } from "../os/log.ts";
import { isLoopback } from "../os/network/listen-address.ts";
import { AgentKeys } from "./authentication/agent-keys.ts";
import { AgentProofs } from "./authentication/proofs.ts";
import { HeldOpen } from "./authentication/held-open.ts";
import { SignIns } from "./authentication/sign-ins.ts";
import { Tokens } from "./authentication/tokens.ts";
import { BlobStore } from "./files/blobs.ts";
import type { BlobStorage } from "./files/blob-storage.ts";
import { Builds } from "./builds/builds.ts";
import { Changes } from "./builds/noting/changes.ts";
import type { ControllerConfiguration } from "./configuration.ts";
import { ControllerMetrics } from "./metrics.ts";
import { openDataDirectory, type DataDirectory } from "./files/data-directory.ts";
import type { Database } from "./database/database.ts";
import { ForgeEvents } from "./forges/forge-events.ts";
import { LaterBuilds } from "./forges/later-builds.ts";
import { NotedChanges } from "./builds/noting/noted-changes.ts";
import { Deliveries } from "./messages/deliveries.ts";
import { notedStates } from "./messages/notifications.ts";
import { openEmbedded } from "./database/embedded.ts";
import { migrate } from "./database/migrations.ts";
import { exchangeChanges } from "./database/notifications.ts";
import { checkConnection } from "./database/pooler.ts";
import { openServer } from "./database/server.ts";
import { startUpkeep } from "./database/upkeep.ts";
import { FreeSpace } from "./files/free-space.ts";
import { Faults } from "./builds/faults.ts";
import { FollowedBuilds } from "./builds/noting/followed.ts";
import { Leases } from "./leases/leases.ts";
import { startLeaseWatch } from "./leases/watch.ts";
import { startArchiving } from "./files/archiving.ts";
import type { KeptLiveLogs } from "./files/live-log-chunk.ts";
import { LiveLogs } from "./files/live-logs.ts";
import { SharedLiveLogs } from "./files/shared-live-logs.ts";
import { openStorage } from "./files/storage.ts";
import { BuildQueue } from "./builds/queue.ts";
import { Artifacts } from "./builds/artifacts.ts";
import { Results } from "./builds/results.ts";
import { Clearances } from "./builds/clearances.ts";
import { BuildSecrets } from "./builds/secrets.ts";
import { SecretsKey, secretsKeyFile } from "./secrets/key.ts";
import { Vault } from "./secrets/vault.ts";
import { Retention } from "./retention/retention.ts";
import { startRetention } from "./retention/schedule.ts";
import { Sessions } from "./builds/sessions.ts";
import { Agents } from "./fleet/agents.ts";
import { Estimates } from "./fleet/estimates.ts";
import { Overview } from "./fleet/overview.ts";
import { Pauses } from "./fleet/pauses.ts";
import { WaitingReasons } from "./fleet/waiting.ts";
import { OfferTokens } from "./idle-agents/offer-tokens.ts";
import { WakeUps } from "./idle-agents/wake-ups.ts";

/** What requests are answered with. */
export interface Controller {
  readonly configuration: ControllerConfiguration;
  readonly log: Log;
  readonly directory: DataDirectory;
  readonly database: Database;
  readonly changes: Changes;
  readonly followed: FollowedBuilds;
  readonly builds: Builds;
  readonly sessions: Sessions;
  readonly leases: Leases;
  readonly agents: Agents;
  readonly pauses: Pauses;
  readonly overview: Overview;
  readonly metrics: ControllerMetrics;
  readonly waiting: WaitingReasons;
  readonly estimates: Estimates;
  readonly offers: OfferTokens;
  readonly wakeUps: WakeUps;
  readonly results: Results;
  readonly artifacts: Artifacts;
  readonly blobs: BlobStore;
  readonly storage: BlobStorage;
  readonly liveLogs: KeptLiveLogs;
  readonly secrets: BuildSecrets;
  readonly vault: Vault;
  readonly retention: Retention;
  readonly space: FreeSpace;
  readonly agentKeys: AgentKeys;
  readonly proofs: AgentProofs;
  readonly tokens: Tokens;
  readonly signIns: SignIns;
  readonly heldOpen: HeldOpen;
  readonly forgeEvents: ForgeEvents;
  readonly readiness: { isEnding: boolean };
  readonly laterBuilds: LaterBuilds;
  readonly deliveries: Deliveries;
}

/** A controller whose data is open; disposing of it closes everything in order. */
export interface OpenController extends Controller, AsyncDisposable {}

/**
 * Opens data directory, database and queue.
 *
 * @throws {Failure} if another controller has them, or they cannot be used.
 */
export async function openController(
  configuration: ControllerConfiguration,
  log: Log,
): Promise<OpenController> {
  const { targets } = configuration;
  await using stack = new AsyncDisposableStack();
  const exclusive = configuration.database === "embedded";
  const directory = stack.use(await openDataDirectory(configuration.data, exclusive, log));
  const database = await openDatabase(configuration, directory, log, stack);
  const queue = await queueOf(database, configuration);
  const changes = new Changes();
  if (!exclusive) stack.use(exchangeChanges(configuration.database, database, changes, log));
  const agentKeys = stack.use(await AgentKeys.open(configuration.agentKeys, { database, changes, log }));
  const stored = await storedIn({ directory, database, log }, configuration, stack);
  const { blobs, liveLogs } = stored;
  const vault = await vaultOf(database, configuration);
  const secrets = new BuildSecrets(database, vault);
  const fleet = fleetOf(database, queue, changes, configuration, stack.use(new Agents(database, log)));
  const faults = new Faults(queue, blobs, log);
  const sessions = new Sessions(
    { database, queue, changes, isOfferedElsewhere: (...what) => fleet.waiting.isOfferedElsewhere(...what) },
    { ...configuration, withChallenge: () => agentKeys.isRequired },
  );
  const leasing = { database, queue, faults, agentKeys, changes, log };
  const leases = await startLeases(leasing, configuration, stack);
  const clearances = new Clearances(vault, agentKeys, isOfHostAlone(configuration));
  const builds = new Builds(database, queue, targets, changes, clearances);
  const wakeUps = stack.use(new WakeUps(queue, changes, log));
  const parts: Controller = {
    configuration,
    log,
    directory,
    database,
    changes,
    followed: new FollowedBuilds(builds, sessions, changes),
    builds,
    sessions,
    leases,
    ...fleet,
    wakeUps,
    metrics: new ControllerMetrics({ builds, wakeUps, ...fleet }),
    results: new Results(
      { database, queue, faults, blobs, liveLogs, secrets, changes },
      configuration.retries,
      log,
    ),
    artifacts: new Artifacts(database, blobs, secrets),
    ...stored,
    secrets,
    vault,
    agentKeys,
    ...toldByForges(database, builds, vault, configuration),
    ...knownBy(database, configuration, log),
  };
  if (configuration.retention) stack.use(startRetention(stored.retention, log));
  const held = stack.move();
  return { ...parts, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

/** Whether nobody reaches it but from its own host, as far as its configuration tells. */
function isOfHostAlone({ listen, publicUrl, trustedProxies }: ControllerConfiguration): boolean {
  const isNamedSo = publicUrl === undefined || isLoopback(new URL(publicUrl).hostname);
  return isLoopback(listen.host) && isNamedSo && trustedProxies.length === 0;
}

/** What is kept beside the database, and for how long. */
async function storedIn(
  { directory, database, log }: Pick<Controller, "directory" | "database" | "log">,
  configuration: ControllerConfiguration,
  stack: AsyncDisposableStack,
) {
  const { logLimitBytes, minFreeBytes, retention: rules = {}, storage: place } = configuration;
  const isShared = configuration.database !== "embedded";
  const { storage } = stack.use(await openStorage(place, directory, database, isShared));
  const blobs = new BlobStore(directory, storage, database);
  const shared = isShared ? new SharedLiveLogs(database, blobs, logLimitBytes) : undefined;
  if (shared) stack.use(startArchiving(shared, log));
  const liveLogs: KeptLiveLogs = shared ?? new LiveLogs(directory, logLimitBytes);
  return {
    ...{ blobs, storage, liveLogs },
    retention: new Retention({ database, storage, directory, liveLogs }, rules),
    space: new FreeSpace(directory.path, minFreeBytes),
  };
}

async function startLeases(
  parts: Pick<Controller, "database" | "agentKeys" | "changes" | "log"> & {
    queue: BuildQueue;
    faults: Faults;
  },
  configuration: ControllerConfiguration,
  stack: AsyncDisposableStack,
): Promise<Leases> {
  const { database, log } = parts;
  const leases = new Leases(parts, { ...configuration, controllerName: nameOf(configuration) });
  // Nobody else's is there
  if (configuration.database === "embedded") await database.query("delete from croft.controllers");
  await leases.look(); // before any other one may end, what was leased before lasts on
  stack.use(startLeaseWatch(leases, log));
  return leases;
}

/** The secrets, with a key that opens them. */
async function vaultOf(database: Database, { secretsKey, data }: ControllerConfiguration): Promise<Vault> {
  const vault = new Vault(database, new SecretsKey(secretsKeyFile(secretsKey, data)));
  // Without a file of that name in the configuration, it is made with the first secret.
  if (secretsKey !== undefined) await vault.provideKey();
  await vault.renew();
  return vault;
}

/** The queue, with the targets' limits. */
async function queueOf(
  database: Database,
  { targets, notifications }: ControllerConfiguration,
): Promise<BuildQueue> {
  const limits = targets.flatMap(({ name, limit }): [string, number][] =>
    limit === undefined ? [] : [[name, limit]],
  );
  const queue = new BuildQueue(database, new Map(limits), new NotedChanges(notedStates(notifications)));
  await queue.applyLimits();
  return queue;
}

/** What is known of agents, machines and targets. */
function fleetOf(
  database: Database,
  queue: BuildQueue,
  changes: Changes,
  { targets }: ControllerConfiguration,
  agents: Agents,
): Pick<Controller, "agents" | "pauses" | "overview" | "waiting" | "estimates"> {
  const pauses = new Pauses(database, changes);
  const overview = new Overview(database, targets, agents, pauses);
  const waiting = new WaitingReasons(database, { agents, pauses, queue });
  return { agents, pauses, overview, waiting, estimates: new Estimates(database, waiting) };
}

/** What forges tell of, and what is built for it. */
function toldByForges(
  database: Database,
  builds: Builds,
  vault: Vault,
  { repositories }: ControllerConfiguration,
) {
  return {
    forgeEvents: new ForgeEvents(database, builds, repositories, vault),
    laterBuilds: new LaterBuilds(database, builds, repositories),
  };
}

/** What needs little besides the database: by what agents and people are known, and what they were told. */
function knownBy(database: Database, configuration: ControllerConfiguration, log: Log) {
  const tokens = new Tokens(database, configuration.tokens);
  const heldOpen = new HeldOpen(database, configuration.tokens, log);
  return {
    ...{ proofs: new AgentProofs(database), tokens, signIns: new SignIns(database, tokens), heldOpen },
    ...{ offers: new OfferTokens(database), deliveries: new Deliveries(database) },
    readiness: { isEnding: false },
  };
}

/** The same after a restart; a port that is another one each time makes another controller. */
function nameOf({ listen: { host, port } }: ControllerConfiguration): string {
  return `${hostname()} ${host} ${port === 0 ? randomUUID() : port}`;
}

/** The database with its tables up to date; the stack gets what must be closed. */
async function openDatabase(
  configuration: ControllerConfiguration,
  directory: DataDirectory,
  log: Log,
  stack: AsyncDisposableStack,
): Promise<Database> {
  const url = configuration.database;
  if (url === "embedded") {
    const database = stack.use(await openEmbedded(directory.database));
    await prepare(database);
    stack.use(startUpkeep(database, log));
    return database;
  }
  const database = stack.use(
    await openServer(url, (error) => log.warn({ err: error }, "a database connection broke")),
  );
  await checkConnection(url);
  if (await prepare(database, nameOf(configuration)))
    log.warn(
      {},
      "a later version of croft has changed the tables of the database; this one can still use them",
    );
  return database;
}

async function prepare(database: Database, self?: string): Promise<boolean> {
  try {
    return await migrate(database, self);
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure("prepare the database", reasonOf(error), { cause: error });
  }
}
