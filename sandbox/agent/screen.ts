/** What a terminal shows, kept by a headless xterm, which alone answers the programs that ask the terminal something. */
import { SerializeAddon } from '@xterm/addon-serialize';
import headless from '@xterm/headless';
import { AGENT_LIMITS, type Size } from '../../src/sandbox/agent-protocol/index.ts';

/** Lines above the screen that a snapshot has: less when they make it too large. */
const SCROLLBACK_LINES = [500, 100, 0];

export class Screen {
  readonly #terminal: InstanceType<typeof headless.Terminal>;
  readonly #serializer = new SerializeAddon();
  #written = 0;
  #shown = 0;
  readonly #onShown: () => void;

  /** `onAnswer` gets what programs are answered, `onShown` is called as what was written is shown. */
  constructor({ columns, rows }: Size, onAnswer: (text: string) => void, onShown: () => void) {
    const [scrollback = 0] = SCROLLBACK_LINES;
    this.#terminal = new headless.Terminal({ cols: columns, rows, scrollback, allowProposedApi: true });
    this.#terminal.loadAddon(this.#serializer);
    this.#terminal.onData(onAnswer);
    this.#onShown = onShown;
  }

  /** Position of the output up to which the screen shows it. */
  get shown(): number {
    return this.#shown;
  }

  /** Output that has been written and is not shown yet. */
  get waitingBytes(): number {
    return this.#written - this.#shown;
  }

  get size(): Size {
    return { columns: this.#terminal.cols, rows: this.#terminal.rows };
  }

  write(bytes: Uint8Array): void {
    this.#written += bytes.length;
    this.#terminal.write(bytes, () => {
      this.#shown += bytes.length;
      this.#onShown();
    });
  }

  resize({ columns, rows }: Size): void {
    this.#terminal.resize(columns, rows);
  }

  /** Output that makes an empty terminal of the same size look like this one. */
  snapshot(): Uint8Array {
    for (const scrollback of SCROLLBACK_LINES) {
      const bytes = Buffer.from(this.#serializer.serialize({ scrollback }));
      if (bytes.length <= AGENT_LIMITS.snapshotBytes) return bytes;
    }
    // Somebody has piled up characters in its cells: nothing that a person could read.
    return new Uint8Array(0);
  }

  dispose(): void {
    this.#terminal.dispose();
  }
}
