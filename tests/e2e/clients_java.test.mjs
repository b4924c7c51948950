// deploy/clients/java: the jar is built with Debian's packages, and programs that use it buy tokens and make assertions.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { describeClient } from './client_contract.mjs';
import { output } from './process.mjs';

const PACKAGE = path.resolve(process.env.E2E_PROTO_DIR, '../deploy/clients/java');
const PROGRAM = fileURLToPath(new URL('./clients/java/Contract.java', import.meta.url));
const BUILD = path.join(PACKAGE, 'build.sh');

async function install(folder) {
  const jars = path.join(folder, 'jars');
  const classes = path.join(folder, 'classes');
  mkdirSync(classes);
  await output(BUILD, [jars], { seconds: 240 });
  const libraries = (await output(BUILD, ['--class-path'])).trim();
  const classPath = [path.join(jars, 'assertiond-client-0.1.0.jar'), classes, libraries].join(':');
  await output('javac', ['--release', '17', '-Xlint:all,-processing,-classfile', '-Werror', '-proc:none', '-cp', classPath,
    '-d', classes, PROGRAM, path.join(PACKAGE, 'examples/BuyToken.java')], { seconds: 120 });
  // Short programs: no time for the second compiler.
  const java = (name) => ['java', `-Djava.library.path=${path.join(jars, 'native')}`, '-XX:TieredStopAtLevel=1',
    '-XX:+UseSerialGC', '-cp', classPath, name];
  return { jars, libraries, program: java('Contract'), examples: { BuyToken: java('BuyToken') } };
}

describeClient('Java', install, ({ program, installed }) => {
  it('close() ends what is under way', async () => {
    assert.deepEqual(await program('close'),
      { stream: 'CANCELLED', next: 'the client is closed', submit: 'the client is closed' });
  });

  it('refuses a missing request, and others of its stream go on', async () => {
    assert.deepEqual(await program('missing'), { call: 'the request is null', stream: 'the request is null', parts: 3 });
  });

  it('the signer gives the form parameters and the JWT', async () => {
    assert.deepEqual(await program('signer'), { names: '[client_assertion, client_assertion_type, client_id]',
      type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer', parts: 3 });
  });

  it('names in pom.xml the versions that it was built with', async () => {
    const pom = readFileSync(path.join(installed.jars, 'pom.xml'), 'utf8');
    for (const [artifact, file] of [['grpc-netty', 'grpc-netty.jar'], ['grpc-protobuf', 'grpc-protobuf.jar'],
      ['grpc-stub', 'grpc-stub.jar'], ['protobuf-java', 'protobuf.jar']]) {
      const [, version] = new RegExp(`<artifactId>${artifact}</artifactId><version>([\\d.]+)</version>`).exec(pom);
      const real = (await output('readlink', ['-f', `/usr/share/java/${file}`])).trim();
      assert.ok(real.endsWith(`-${version}.jar`), `${artifact} ${version}: ${real}`);
    }
  });
});
