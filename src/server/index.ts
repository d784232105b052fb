/** The only door of this room: starting a node. */
export { type Config, ConfigError, type ConfigInput, configOf } from '../config.ts';
export type { InProcessSocket } from './in-process.ts';
export { createLogger, type LoggerOptions } from './logger.ts';
export { nodeEnv } from './node-env.ts';
export { NodeServer, type ServerOptions, type ServerStatus, startServer } from './server.ts';
export { VERSION } from './version.ts';
