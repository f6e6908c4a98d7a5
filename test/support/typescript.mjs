// Loads TypeScript in the main thread and, because Node 20 runs `--import` anew there, in every worker thread it starts.
import { register } from 'tsx/esm/api';

register();
