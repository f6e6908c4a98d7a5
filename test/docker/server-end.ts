/**
 * A server as a process, which a test kills: starts the sandbox or takes the one that runs, reads its terminal `t` from a
 * position on and prints what it is given, each piece as a line `seq base64`. Arguments: the folder of the sandboxes, the
 * deployment, the sandbox, the fence, the position, and what the terminal runs.
 */
import { createDockerDriver } from '../../src/sandbox/drivers/docker.ts';
import { createEngine } from '../../src/sandbox/engine/engine.ts';
import { imageInputs, imageName } from '../../src/sandbox/image/image-context.ts';
import { openIn, SECRET, specOf } from '../support/docker.ts';
import { silentLog } from '../support/log.ts';
import { printOutput } from '../sandbox/printed-output.ts';

const [sandboxDir = '', instanceId = '', id = '', fence = '', after = '', line = ''] = process.argv.slice(2);
const driver = await createDockerDriver({
  engine: await createEngine(),
  sandboxDir,
  instanceId,
  secret: SECRET,
  image: imageName(await imageInputs()),
  log: silentLog,
});
const isThere = (await driver.find()).some((found) => found.id === id);
const sandbox = isThere
  ? await driver.adopt(id, Number(fence))
  : await driver.start(specOf({ id, fence: Number(fence), volume: 'a'.repeat(24) }));
await openIn(sandbox, 't', line);
printOutput(sandbox.link, Number(after));
