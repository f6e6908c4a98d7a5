/** Connections to registries: straight, or through the tunnel that an HTTP proxy opens. */
import { request, Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent, type AgentOptions } from 'node:https';
import type { Duplex } from 'node:stream';
import { basic, type Registry } from './registry.ts';

type Made = (error: Error | null, stream: Duplex) => void;

/** To one registry and what it names; npm itself opens 15. */
const CONNECTIONS = 32;
const CONNECT_MS = 20_000;

export class UpstreamAgents {
  readonly #registry: Registry;
  readonly #http: HttpAgent;
  readonly #https: HttpsAgent;
  readonly #tunnelled: HttpsAgent | undefined;
  readonly #proxied: HttpAgent | undefined;

  constructor(registry: Registry) {
    this.#registry = registry;
    const { ca, proxy } = registry;
    const options = { keepAlive: true, maxSockets: CONNECTIONS, ...(ca === undefined ? {} : { ca }) };
    this.#http = new HttpAgent(options);
    this.#https = new HttpsAgent(options);
    if (!proxy) return;
    this.#tunnelled = new TunnelAgent(proxy, options);
    this.#proxied = new HttpAgent(options);
  }

  /** The options of a request to this URL; `guard` is for those that resolve its name here. */
  optionsFor(url: URL, guard: object): { agent: HttpAgent } & Record<string, unknown> {
    const { proxy } = this.#registry;
    const isSecure = url.protocol === 'https:';
    if (!proxy || this.#isExempt(url.hostname)) return { agent: isSecure ? this.#https : this.#http, ...guard };
    if (isSecure) return { agent: this.#tunnelled as HttpsAgent };
    const headers = proxy.username === '' ? {} : { 'proxy-authorization': credentials(proxy) };
    const [hostname, port] = [proxy.hostname, proxy.port || 80];
    return {
      agent: this.#proxied as HttpAgent,
      protocol: 'http:',
      hostname,
      port,
      path: url.href,
      proxyHeaders: headers,
    };
  }

  close(): void {
    for (const agent of [this.#http, this.#https, this.#tunnelled, this.#proxied]) agent?.destroy();
  }

  #isExempt(host: string): boolean {
    return (this.#registry.noProxy ?? []).some(
      (name) => name === '*' || host === name.replace(/^\*?\./, '') || host.endsWith(name.replace(/^\*?\.?/, '.')),
    );
  }
}

class TunnelAgent extends HttpsAgent {
  readonly #proxy: URL;

  constructor(proxy: URL, options: AgentOptions) {
    super(options);
    this.#proxy = proxy;
  }

  override createConnection(options: AgentOptions & { host?: string; port?: number }, made?: Made): undefined {
    const { hostname, port, username } = this.#proxy;
    const target = `${options.host}:${options.port ?? 443}`;
    const connect = request({
      method: 'CONNECT',
      hostname,
      port: port || 80,
      path: target,
      timeout: CONNECT_MS,
      headers: { host: target, ...(username === '' ? {} : { 'proxy-authorization': credentials(this.#proxy) }) },
    });
    const failed = (error: Error): void => made?.(error, undefined as never);
    connect.once('timeout', () => connect.destroy(new Error('The proxy does not answer')));
    connect.once('error', failed);
    connect.once('response', ({ statusCode }) => connect.destroy(new Error(`The proxy answered ${statusCode}`)));
    connect.once('connect', ({ statusCode }, socket) => {
      if (statusCode !== 200) {
        socket.destroy();
        failed(new Error(`The proxy answered ${statusCode}`));
        return;
      }
      socket.removeAllListeners('timeout');
      made?.(null, super.createConnection({ ...options, socket } as AgentOptions) as Duplex);
    });
    connect.end();
    return undefined;
  }
}

const credentials = ({ username, password }: URL): string =>
  basic(decodeURIComponent(username), decodeURIComponent(password));
