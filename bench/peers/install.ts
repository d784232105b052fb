/**
 * Fetches and builds what peers need, into a directory outside the repository, through the ordinary clients of the
 * registries: go, mvn and npm. Runs only when it is asked for by name; what takes root is looked for, never installed.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Peer } from './peer.ts';
import { onPath, type PeersDir } from './peers-dir.ts';

/** Pinned, so that figures of two days compare. */
const VERSIONS = {
  'nats-server': 'v2.15.2',
  etcd: 'v3.7.3',
  kafka: '4.1.2',
} as const;

/** The last versions that run on the oldest Node logdrive runs on. */
const PACKAGES: Readonly<Record<string, string>> = {
  '@nats-io/transport-node': '3.4.0',
  '@nats-io/jetstream': '3.4.0',
  kafkajs: '2.2.4',
  '@platformatic/kafka': '1.35.0',
  redis: '6.3.1',
  amqplib: '2.3.1',
};

const ETCD_MAIN = `package main

import (
\t"os"

\t"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
`;

/** A project that is nothing but its dependencies: the servers, and the tools beside them. */
const KAFKA_POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>logdrive.bench</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>${VERSIONS.kafka}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka-tools</artifactId>
      <version>${VERSIONS.kafka}</version>
    </dependency>
  </dependencies>
</project>
`;

interface Step {
  readonly what: string;
  /** A program of the system it cannot do without. */
  readonly needs: string;
  /** Names of peers it is for. */
  readonly peers: readonly string[];
  run(tools: PeersDir): Promise<void>;
}

const STEPS: readonly Step[] = [
  {
    what: 'npm clients',
    needs: 'npm',
    peers: ['nats', 'nats-always', 'kafka', 'redis', 'rabbitmq'],
    async run(tools) {
      await mkdir(tools.npmDir, { recursive: true });
      await writeFile(
        join(tools.npmDir, 'package.json'),
        JSON.stringify({ private: true, dependencies: PACKAGES }, undefined, 2),
      );
      // No scripts: nothing of these packages runs before the bench loads it.
      await command('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund'], tools.npmDir);
    },
  },
  {
    what: `nats-server ${VERSIONS['nats-server']}`,
    needs: 'go',
    peers: ['nats', 'nats-always'],
    async run(tools) {
      const bin = join(tools.path, 'bin');
      await mkdir(bin, { recursive: true });
      const module = `github.com/nats-io/nats-server/v2@${VERSIONS['nats-server']}`;
      await command('go', ['install', '-p', '1', module], tools.path, { GOBIN: bin });
    },
  },
  {
    what: `etcd ${VERSIONS.etcd}`,
    needs: 'go',
    peers: ['etcd'],
    async run(tools) {
      // Its module replaces others, which `go install` refuses: so it is a dependency of a module of five lines.
      const dir = join(tools.path, 'etcd');
      await rm(dir, { recursive: true, force: true });
      await mkdir(dir, { recursive: true });
      await writeFile(join(dir, 'main.go'), ETCD_MAIN);
      await command('go', ['mod', 'init', 'etcd'], dir);
      await command('go', ['get', `go.etcd.io/etcd/server/v3@${VERSIONS.etcd}`], dir);
      await command('go', ['build', '-p', '1', '-o', tools.program('etcd'), '.'], dir);
    },
  },
  {
    what: `Kafka ${VERSIONS.kafka}`,
    needs: 'mvn',
    peers: ['kafka'],
    async run(tools) {
      const dir = join(tools.path, 'kafka');
      // The jars of another version beside them would be found, too.
      await rm(tools.jarsDir, { recursive: true, force: true });
      await mkdir(dir, { recursive: true });
      await writeFile(join(dir, 'pom.xml'), KAFKA_POM);
      await command('mvn', ['-q', '-B', 'dependency:copy-dependencies', `-DoutputDirectory=${tools.jarsDir}`], dir);
    },
  },
];

/** @returns how many of the steps failed; what they were is said, and so is what is still missing. */
export async function install(
  tools: PeersDir,
  peers: readonly Peer[],
  say: (line: string) => void,
  steps: readonly Step[] = STEPS,
): Promise<number> {
  await mkdir(tools.path, { recursive: true });
  say(`peers are installed in ${tools.path}`);
  let failures = 0;
  for (const step of steps.filter((each) => peers.some((peer) => each.peers.includes(peer.name)))) {
    try {
      if (onPath(step.needs) === undefined) throw new Error(`${step.needs} is not on PATH`);
      say(`${step.what} ...`);
      await step.run(tools);
    } catch (error) {
      failures++;
      say(`${step.what} failed: ${(error as Error).message}`);
    }
  }
  for (const peer of peers) {
    const missing = await peer.missing(tools);
    say(`${peer.name}: ${missing.length === 0 ? 'ready' : `missing ${missing.join('; ')}`}`);
  }
  return failures;
}

/** Its talk goes to stderr as it comes. */
async function command(
  program: string,
  words: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  const child = spawn(program, words, { cwd, stdio: ['ignore', 2, 2], env: { ...process.env, ...env } });
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  if (code !== 0) throw new Error(`${program} ${words.join(' ')} ended with ${signal ?? `code ${code}`}`);
}
