/** A TCP relay that can be cut: what is under way is lost, as when a cable is pulled. Or it falls silent, as a dead router does. */
import { once } from 'node:events';
import { createServer, connect, type AddressInfo, type NetConnectOpts, type Socket } from 'node:net';

export interface TcpCutter extends AsyncDisposable {
  port: number;
  /** Ends every relayed connection at once. */
  cut(): void;
  /** Passes on nothing that the server answers from now on, until `cut`. */
  swallowAnswers(): void;
  /**
   * Nothing passes any more, either way, not even the end of a connection: each side finds out by itself. New
   * connections are accepted and pass nothing either, until `heal`.
   */
  silence(): void;
  /** Relays what is new from now on. What was silent stays so until its sides have given up. */
  heal(): void;
}

/** Where a connection goes: to the first of these that takes it. */
export type Route = NetConnectOpts | (() => readonly NetConnectOpts[]);

/** On a free port unless one is given. */
export async function startTcpCutter(route: Route, port = 0): Promise<TcpCutter> {
  const relays = new Set<Relay>();
  const targets = typeof route === 'function' ? route : () => [route];
  let silent = false;
  let swallowing = false;
  const server = createServer((client) => {
    const relay = new Relay(client, { swallows: () => swallowing, onEnd: () => relays.delete(relay) });
    relays.add(relay);
    if (silent) relay.silence();
    else relay.connect(targets());
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const cut = (): void => {
    swallowing = false;
    for (const relay of relays) relay.cut();
  };
  return {
    port: (server.address() as AddressInfo).port,
    cut,
    swallowAnswers() {
      swallowing = true;
    },
    silence() {
      silent = true;
      for (const relay of relays) relay.silence();
    },
    heal() {
      silent = false;
    },
    async [Symbol.asyncDispose]() {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}

interface RelayOptions {
  /** Whether what the server answers is to be lost. */
  swallows: () => boolean;
  onEnd: () => void;
}

/** One connection and its other half. */
class Relay {
  readonly #client: Socket;
  readonly #options: RelayOptions;
  #upstream: Socket | undefined;
  #silent = false;

  constructor(client: Socket, options: RelayOptions) {
    this.#client = client;
    this.#options = options;
    client.setNoDelay(true);
    client.on('error', () => client.destroy());
    client.on('close', () => this.#ended(this.#upstream));
  }

  cut(): void {
    this.#client.destroy();
    this.#upstream?.destroy();
  }

  silence(): void {
    this.#silent = true;
    // A side's data must flow, into nothing, for its end to be seen.
    for (const side of [this.#client, this.#upstream]) side?.removeAllListeners('data').resume();
  }

  connect([target, ...others]: readonly NetConnectOpts[]): void {
    if (!target) {
      this.cut();
      return;
    }
    const upstream = connect({ ...target, noDelay: true });
    this.#upstream = upstream;
    let reached = false;
    upstream.on('error', () => upstream.destroy());
    upstream.on('connect', () => {
      reached = true;
      if (!this.#silent) this.#client.on('data', (data) => upstream.write(data));
    });
    upstream.on('data', (data) => this.#options.swallows() || this.#client.write(data));
    upstream.on('close', () => {
      if (!reached && others.length > 0 && !this.#client.destroyed && !this.#silent) this.connect(others);
      else this.#ended(this.#client);
    });
  }

  #ended(other: Socket | undefined): void {
    if (!this.#silent) other?.destroy();
    if (this.#client.destroyed && (this.#upstream?.destroyed ?? true)) this.#options.onEnd();
  }
}
