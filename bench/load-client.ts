/**
 * A Socket.IO v5-protocol client stripped to what a load needs: it counts events by their first bytes and parses only
 * acks, so that 100 of them cost little beside the server under test.
 */
import { WebSocket } from 'ws';

export interface LoadClientOptions {
  url: string;
  token?: string;
}

export class LoadClient {
  readonly #ws: WebSocket;
  readonly #acks = new Map<number, (answer: unknown) => void>();
  #nextAck = 0;
  #onEvent: (raw: string) => void = () => {};
  /** Resolves when events arrive: at `hello` with a token, at CONNECT without. */
  readonly ready: Promise<void>;

  constructor({ url, token }: LoadClientOptions) {
    this.#ws = new WebSocket(`${url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`, {
      perMessageDeflate: false,
      skipUTF8Validation: true,
    });
    this.ready = new Promise((resolve, reject) => {
      this.#ws.on('error', reject);
      this.#ws.on('message', (data: Buffer) => {
        const kind = data[0];
        if (kind === 0x32) this.#ws.send('3');
        else if (kind === 0x30) this.#ws.send(token === undefined ? '40' : `40${JSON.stringify({ token })}`);
        else if (kind === 0x34) this.#packet(data, resolve, reject, token !== undefined);
      });
    });
  }

  /** Sends an operation and resolves with its answer. */
  call(name: string, input: unknown): Promise<unknown> {
    const id = this.#nextAck++;
    return new Promise((resolve) => {
      this.#acks.set(id, resolve);
      this.#ws.send(`42${id}${JSON.stringify([name, input])}`);
    });
  }

  close(): void {
    this.#ws.terminate();
  }

  #packet(data: Buffer, ready: () => void, refused: (error: Error) => void, waitsForHello: boolean): void {
    const type = data[1];
    if (type === 0x32) {
      const raw = data.toString('latin1');
      if (raw.startsWith('42["hello"')) ready();
      else this.#onEvent(raw);
    } else if (type === 0x33) {
      const raw = data.toString();
      const at = raw.indexOf('[');
      const id = Number(raw.slice(2, at));
      this.#acks.get(id)?.((JSON.parse(raw.slice(at)) as unknown[])[0]);
      this.#acks.delete(id);
    } else if (type === 0x30 && !waitsForHello) ready();
    else if (type === 0x34) refused(new Error(data.toString()));
  }

  /** Sets what is done with the raw text of each event; parse only what you must. */
  listen(onEvent: (raw: string) => void): void {
    this.#onEvent = onEvent;
  }
}
