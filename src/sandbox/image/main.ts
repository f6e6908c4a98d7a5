/** `npm run sandbox:image`: builds the image that sandboxes run, unless it is there already, and prints its name. */
import { createEngine } from '../engine/engine.ts';
import { ensureSandboxImage } from './ensure-image.ts';
import type { Log } from '../../observability/log.ts';
import { Fault } from '../../protocol/index.ts';

const say = (message: string): void => void process.stderr.write(`${message}\n`);
const log: Log = { debug: () => {}, info: say, warn: say, error: say, child: () => log };

try {
  const engine = await createEngine();
  await engine.version();
  const image = process.env['SANDBOX_IMAGE'] || undefined;
  console.log(await ensureSandboxImage({ engine, log, image, onLine: (line) => say(`  ${line}`) }));
} catch (error) {
  // Anything else is a bug, and its stack is of use.
  console.error(error instanceof Fault ? error.message : error);
  process.exit(1);
}
