/**
 * Builds the features on what the server gives them, and wires them to each other. What each needs of another goes
 * through a function here, so that no feature holds another whole.
 */
import type { Connection } from 'mongoose';
import type { Cluster, Jobs, NodeCalls, PulledStreams } from './cluster/index.ts';
import type { Config, Secrets, VapidKeys } from './config/index.ts';
import { composeSandboxes, type SandboxFeatures } from './compose-sandboxes.ts';
import { createAdmin } from './features/admin/index.ts';
import { createAi, createProvider } from './features/ai/index.ts';
import { createAttachments } from './features/attachments/index.ts';
import { createAuth, type OtpProviderOptions, type Outbox } from './features/auth/index.ts';
import { createBlocks } from './features/blocks/index.ts';
import { createChat } from './features/chat/index.ts';
import { createDocuments, type DocumentsFeature } from './features/documents/index.ts';
import { createFiles, type Files } from './features/files/index.ts';
import { createKeys } from './features/keys/index.ts';
import { createLifecycle } from './features/lifecycle/index.ts';
import { createPresence } from './features/presence/index.ts';
import { createProjects } from './features/projects/index.ts';
import { createPush, createWebPushSender } from './features/push/index.ts';
import type { AtelierContract, AtelierEvents } from './features/registry.ts';
import { templateFiles } from './features/templates/index.ts';
import type { MediaInspector } from './features/uploads/index.ts';
import { createAvatars, createUsers } from './features/users/index.ts';
import type { ConnectionHook } from './gateway/connection.ts';
import type { Gateway } from './gateway/gateway.ts';
import type { UpgradeRoute } from './gateway/upgrades.ts';
import type { AuditStore, Log, Metrics } from './observability/index.ts';
import { LIMITS, type Handlers, type UserContext } from './protocol/index.ts';
import type { RestDeps } from './rest/deps.ts';
import type { SandboxDriver } from './sandbox/driver.ts';
import type { Blobs } from './storage/blobs/index.ts';

export interface FeatureParts {
  config: Config;
  secrets: Secrets;
  vapidKeys: VapidKeys | undefined;
  connection: Connection;
  /** What the database takes on disk. */
  databaseBytes: () => Promise<number | undefined>;
  cluster: Cluster;
  /** Questions to other nodes. */
  calls: NodeCalls;
  /** What can flood, between nodes. */
  streams: PulledStreams;
  sandboxDriver: SandboxDriver | { off: string };
  /** Of this machine. */
  hostId: string;
  jobs: Jobs;
  blobs: Blobs;
  inspector: MediaInspector;
  gateway: Pick<Gateway<AtelierEvents>, 'rooms' | 'admission' | 'connectionCount'>;
  metrics: Metrics;
  audit: AuditStore;
  log: Log;
  now: () => number;
  /** Takes what ends a part; the newest is ended first. */
  onEnd: (end: () => Promise<void> | void) => void;
}

/** Uploads that nobody sent are looked for this often. */
const COLLECT_MS = 600_000;

/** What the server serves of the features. */
export interface Features extends Required<Pick<RestDeps, 'authenticate' | 'avatar' | 'routes' | 'streams'>> {
  handlers: Handlers<AtelierContract>;
  outbox: Outbox | undefined;
  requireAdmin(operation: string, context: UserContext): Promise<void>;
  /** What is neither HTTP nor Socket.IO. */
  upgrades: readonly UpgradeRoute[];
  /** Lets those go who came by it. */
  drain(): Promise<void>;
  /** Somebody does something. */
  active(userId: string): void;
  /** Come and go with every socket. */
  present: readonly ConnectionHook[];
  /** What listens in sandboxes, on its own port. */
  previews: SandboxFeatures['previews'];
  /** Finishes what a server that was killed has left. */
  recover(): Promise<void>;
  /** Begins what goes on by itself. */
  start(): Promise<void>;
}

/** Builds all features. Nothing runs before `start`. */
export function composeFeatures(parts: FeatureParts): Features {
  const { config, secrets, vapidKeys, connection, databaseBytes, jobs, blobs, inspector, gateway } = parts;
  const { metrics, audit, log, now, onEnd } = parts;
  const { nodes, leases, bus, presenceRegistry, streamLog, limits } = parts.cluster;
  const { rooms } = gateway;

  const users = createUsers({
    connection,
    now,
    // Nobody has proved yet that an address is theirs. So in production it is an account that was there before that
    // becomes the first administrator, and the address cannot be taken while it is set.
    adminEmail:
      config.adminEmail === undefined
        ? undefined
        : { address: config.adminEmail, onSignUp: config.production ? 'refuse' : 'grant' },
  });
  const avatars = createAvatars({ connection, blobs, inspector, profile: (userId) => users.profile(userId), now });
  const auth = createAuth({
    connection,
    users,
    limits,
    bus,
    audit,
    log,
    now,
    accessTokenSeconds: config.accessTokenSeconds,
    refreshTokenDays: config.refreshTokenDays,
    // Two at once while one is replaced: the first signs, both verify.
    jwtSecrets: secrets.jwtSecret
      .split(',')
      .map((secret) => secret.trim())
      .filter(Boolean),
    authPepper: secrets.authPepper,
    otp: { provider: otpProvider(config), countries: config.otpCountries ?? [], hourlyCap: config.otpHourlyCap },
  });
  onEnd(() => auth.close());
  const blocks = createBlocks({ connection, users, bus, log, now });
  onEnd(() => blocks.close());
  const attachments = createAttachments({
    connection,
    blobs,
    inspector,
    limits,
    secret: secrets.authPepper,
    requireMember: (chatId, userId) => chat.service.requireMember(chatId, userId),
    async isCarried({ chatId, messageId, attachmentId }) {
      const message = await chat.service.messageById(chatId, messageId);
      return message?.attachments.some(({ id }) => id === attachmentId) ?? false;
    },
    log,
    now,
  });
  onEnd(() => attachments.close());
  const nameOf = async (ids: readonly string[]): Promise<Map<string, string>> =>
    new Map((await users.findByIds(ids)).map(({ id, name }) => [id, name]));
  const chat = createChat({
    connection,
    rooms,
    bus,
    audit,
    log,
    now,
    existingUsers: (ids) => users.exists([...ids]),
    nameOf,
    blocks,
    attachments,
    projects: {
      requireWriter: (projectId, userId) => projects.require(projectId, userId, 'write'),
      standing: (projectId) => projects.standing(projectId),
    },
    jobs,
    onPosted(posted) {
      admin.posted();
      push.posted(posted);
    },
  });
  onEnd(() => chat.close());
  const forgetDeath = nodes.onDeath(() => {
    // It may have stored what it had no time to tell.
    Promise.all([chat.recover(), chat.compare(), documents.compare()]).catch((error: unknown) =>
      log.warn('what a dead node left could not be finished yet', { error }),
    );
  });
  onEnd(forgetDeath);
  // It stood still: others may have told it things that it did not hear.
  const forgetInterruption = nodes.onInterruption(() => {
    Promise.all([chat.compare(), documents.compare()]).catch((error: unknown) =>
      log.warn('positions could not be compared', { error }),
    );
  });
  onEnd(forgetInterruption);
  const presence = createPresence({
    connection,
    registry: presenceRegistry,
    rooms,
    blocks,
    sharing: (userId, otherIds) => chat.sharing(userId, otherIds),
    onLeft: (listener) => chat.onLeft(listener),
    log,
    now,
  });
  onEnd(() => presence.close());
  const projects = createProjects({
    connection,
    rooms,
    bus,
    audit,
    log,
    now,
    secret: secrets.authPepper,
    existingUsers: (ids) => users.exists([...ids]),
    chats: chat.ofProject,
    files: {
      create: (projectId, userId, texts) => files.write(projectId, userId, texts),
      copy: (from, to, userId) => files.copyProject(from, to, userId),
    },
    templateFiles,
  });
  onEnd(() => projects.close());
  const files: Files = createFiles({
    connection,
    projects: { require: (projectId, userId, may) => projects.require(projectId, userId, may) },
    ownerOf: (projectId) => projects.ownerOf(projectId),
    projectsOf: (userId) => projects.ownedBy(userId),
    documents: {
      create: (fileId, text, userId) => documents.create(fileId, text, userId),
      text: (fileId) => documents.text(fileId),
      texts: (fileIds) => documents.texts(fileIds),
      write: (fileId, text, userId) => documents.write(fileId, text, userId),
      versions: (fileId, page) => documents.versions(fileId, page),
      remove: (fileIds) => documents.remove(fileIds),
    },
    blobs,
    secret: secrets.authPepper,
    dataDir: config.dataDir,
    limits,
    rooms,
    bus,
    nodes,
    jobs,
    audit,
    log,
    now,
  });
  onEnd(() => files.close());
  const documents: DocumentsFeature = createDocuments({
    connection,
    rooms,
    bus,
    leases,
    blobs,
    access: (fileId, userId) => files.access(fileId, userId),
    onAccessChanged: (listener) => projects.onAccessChanged(listener),
    onRemoved: (listener) => files.onRemoved(listener),
    saved: (fileId, change) => files.saved(fileId, change),
    nodeId: nodes.id,
    onNodeDeath: (listener) => nodes.onDeath(listener),
    nameOf,
    yjs: {
      authenticate: (accessToken) => auth.authenticate(accessToken),
      isLive: async (sessionId) => (await auth.liveSessions([sessionId])).has(sessionId),
      limit: (userId) => limits.take('live', userId),
      messagesPerSecond: LIMITS.yjsMessagesPerSecond * config.rateLimitScale || Number.POSITIVE_INFINITY,
      maxPerUser: gateway.admission.maxPerUser,
      admit: (request) => gateway.admission.admit(request),
      onSlow({ userId, connectionId, bytes }) {
        log.warn('a client that did not read was given up', { userId, connectionId, bytes });
      },
      secret: secrets.authPepper,
      sessionDays: config.refreshTokenDays,
    },
    onBug: (error, fields) => log.error('a document broke', { ...fields, error }),
    log,
    now,
  });
  onEnd(() => documents.close());
  // A node that died may have stored what it had no time to tell; one that stood still may not have heard.
  onEnd(nodes.onDeath(() => void projects.compare()));
  onEnd(nodes.onInterruption(() => void projects.compare()));
  const keys = createKeys({
    connection,
    rooms,
    limits,
    blocks,
    sharing: (userId, otherIds) => chat.sharing(userId, otherIds),
    audit,
    now,
  });
  const ai = createAi({
    connection,
    chat: chat.service,
    rooms,
    streamLog,
    nodes,
    leases,
    provider: createProvider(config, log),
    audit,
    log,
    nameOf,
  });
  onEnd(() => ai.close());
  const admin = createAdmin({
    connection,
    users,
    chat,
    rooms,
    bus,
    nodes,
    jobs,
    limits,
    audit,
    log,
    now,
    adminEmail: config.adminEmail,
    endSessions: (userId) => auth.endSessions(userId),
    aiUsage: (from, to) => ai.usage(from, to),
    prices: config.aiPrices,
    projectCount: () => projects.count(),
    connectionsHere: () => gateway.connectionCount(),
    databaseBytes,
    blobs,
  });
  onEnd(() => admin.close());
  const notifications = metrics.counter('push_total', 'Notifications by what became of them', ['outcome']);
  const push = createPush({
    connection,
    sender:
      vapidKeys &&
      createWebPushSender({ ...vapidKeys, subject: contactOf(config), allowLoopback: !config.production, log }),
    chat,
    users,
    registry: presenceRegistry,
    blocks,
    bus,
    jobs,
    liveSessions: (sessionIds) => auth.liveSessions(sessionIds),
    count: (outcome) => notifications.add({ outcome }),
    log,
    now,
  });
  onEnd(() => push.close());

  jobs.every('attachments.collect', COLLECT_MS, ({ signal }) => attachments.collect(signal));
  const lifecycle = createLifecycle({
    jobs,
    auth,
    users,
    chats: chat.upkeep,
    projects: projects.upkeep,
    chatParts: [(chatId) => ai.forgetChat(chatId), (chatId) => attachments.removeOfChat(chatId)],
    projectParts: [(projectId) => sandboxes.forgetProject(projectId), (projectId) => files.removeOfProject(projectId)],
    userParts: [
      (userId) => blocks.forgetUser(userId),
      (userId) => keys.forgetUser(userId),
      (userId) => presence.forgetUser(userId),
      (userId) => attachments.removeOfUser(userId),
      (userId) => avatars.remove(userId),
      (userId) => files.removeOfUser(userId),
      (userId) => push.forgetUser(userId),
      (userId) => admin.forgetUser(userId),
    ],
    audit,
    now,
  });

  const sandboxes = composeSandboxes({
    config,
    connection,
    cluster: parts.cluster,
    calls: parts.calls,
    streams: parts.streams,
    driver: parts.sandboxDriver,
    hostId: parts.hostId,
    rooms,
    projects,
    files,
    documents: documents.mirror,
    blobs,
    isFirstAccount: (userId) => users.isFirst(userId),
    async authorOf(userId) {
      const { name, email } = await users.profile(userId);
      return { name, email: email ?? `${userId}@users.invalid` };
    },
    isLiveSession: async (sessionId) => (await auth.liveSessions([sessionId])).has(sessionId),
    secret: secrets.authPepper,
    audit,
    log,
    now,
    onEnd,
  });

  metrics.gauge('terminals_watched', 'Terminals that somebody watches by this node', () =>
    sandboxes.terminals.watched(),
  );
  metrics.gauge('append_queue', 'Messages that wait for their durable write', () => chat.queuedAppends());
  metrics.gauge('update_queue', 'Updates of documents that wait for their durable write', () =>
    documents.queuedUpdates(),
  );
  metrics.gauge('documents', 'Documents in memory', () => documents.openDocuments());
  metrics.gauge('yjs_connections', 'Connections of stock Yjs providers', () => documents.yjs.size);
  metrics.gauge(
    'yjs_outbound_bytes',
    'What is kept for stock Yjs providers that have not taken it',
    () => documents.yjs.outboundBytes,
  );

  return {
    handlers: {
      ...auth.handlers,
      ...users.handlers,
      ...lifecycle.handlers,
      ...blocks.handlers,
      ...chat.handlers({ runningStreams: (chatId) => ai.running(chatId) }),
      ...presence.handlers,
      ...projects.handlers,
      ...files.handlers,
      ...documents.handlers,
      ...keys.handlers,
      ...ai.handlers,
      ...push.handlers,
      ...sandboxes.handlers,
      ...admin.handlers,
    },
    routes: [attachments.routes, avatars.routes, chat.routes, files.routes, sandboxes.terminals.routes],
    streams: ai,
    outbox: auth.outbox,
    authenticate: (accessToken) => auth.authenticate(accessToken),
    avatar: (userId) => avatars.find(userId),
    requireAdmin: (operation, context) => admin.requireAdmin(operation, context),
    upgrades: [documents.yjs.upgrade],
    drain: () => documents.yjs.drain(),
    active: (userId) => admin.active(userId),
    present: [chat, presence, projects, documents, sandboxes.terminals],
    previews: sandboxes.previews,
    async recover() {
      await chat.recover();
      await ai.recover();
    },
    async start() {
      await admin.start();
      await sandboxes.start();
    },
  };
}

/** Whom operators of push services may turn to. Nothing of a person: whoever subscribes an address of theirs is told it. */
function contactOf({ publicUrl }: Config): string {
  const url = new URL(publicUrl);
  return url.protocol === 'https:' ? publicUrl : `mailto:webpush@${url.hostname}`;
}

function otpProvider(config: Config): OtpProviderOptions {
  if (config.otpProvider !== 'twilio-messages') return { kind: config.otpProvider };
  const { twilioAccountSid: accountSid, twilioAuthToken: authToken } = config;
  if (accountSid === undefined || authToken === undefined)
    throw new Error('loadConfig lets no Twilio without account pass');
  return {
    kind: 'twilio-messages',
    accountSid,
    authToken,
    from: config.twilioFrom,
    whatsappFrom: config.twilioWhatsappFrom,
    baseUrl: config.twilioBaseUrl,
  };
}
