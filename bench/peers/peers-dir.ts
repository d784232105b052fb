/**
 * The directory outside the repository where peers are installed: built programs in bin/, npm packages in npm/, the
 * jars of Kafka in kafka/. Looks only; install.ts is what fills it. System packages are looked for on PATH.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';

export const INSTALL_HINT = 'npm run bench -- peers-install';

export function defaultPeersDir(): string {
  return join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'logdrive-peers');
}

export class PeersDir {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Where install.ts puts a built program. */
  program(name: string): string {
    return join(this.path, 'bin', name);
  }

  get npmDir(): string {
    return join(this.path, 'npm');
  }

  get jarsDir(): string {
    return join(this.path, 'kafka', 'libs');
  }

  missingProgram(name: string): string[] {
    const path = this.program(name);
    return existsSync(path) ? [] : [`${path} (${INSTALL_HINT})`];
  }

  missingPackages(names: readonly string[]): string[] {
    return names
      .filter((name) => this.packageVersion(name) === undefined)
      .map((name) => `the npm package ${name} in ${this.npmDir} (${INSTALL_HINT})`);
  }

  missingJar(prefix: string): string[] {
    return this.jarVersion(prefix) === undefined ? [`${prefix}*.jar in ${this.jarsDir} (${INSTALL_HINT})`] : [];
  }

  packageVersion(name: string): string | undefined {
    const manifest = join(this.npmDir, 'node_modules', name, 'package.json');
    if (!existsSync(manifest)) return undefined;
    return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
  }

  /** Of PREFIX-1.2.3.jar. */
  jarVersion(prefix: string): string | undefined {
    if (!existsSync(this.jarsDir)) return undefined;
    const pattern = new RegExp(`^${prefix.replaceAll('.', '\\.')}-(\\d+\\.\\d+\\.\\d+)\\.jar$`);
    return readdirSync(this.jarsDir)
      .map((name) => pattern.exec(name)?.[1])
      .find((version) => version !== undefined);
  }

  /** An npm package from there, whichever kind of module it is. */
  async load<T>(name: string): Promise<T> {
    const path = createRequire(join(this.npmDir, 'package.json')).resolve(name);
    return (await import(pathToFileURL(path).href)) as T;
  }
}

/** The full path of a program of the system. */
export function onPath(name: string, path: string = process.env.PATH ?? ''): string | undefined {
  return path
    .split(delimiter)
    .filter((dir) => dir !== '')
    .map((dir) => join(dir, name))
    .find((file) => existsSync(file));
}

export function missingOnPath(name: string, howToGet: string): string[] {
  return onPath(name) === undefined ? [`${name} on PATH (${howToGet})`] : [];
}
