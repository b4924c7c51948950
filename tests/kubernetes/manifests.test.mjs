// The manifests are what Kubernetes takes (every field, type and required field), they fit together, and assertiond takes
// the configuration in them.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { parse, parseAllDocuments } from 'yaml';

const FOLDER = process.env.KUBERNETES_MANIFESTS;
const read = (file) => readFileSync(path.join(FOLDER, file), 'utf8');
const source = (file) => readFileSync(path.join(process.env.KUBERNETES_SOURCES, file), 'utf8');
const { resources, namespace } = parse(read('kustomization.yaml'));
const JOB = 'tls-key';   // a base of its own, which runs once
const jobs = parse(read(`${JOB}/kustomization.yaml`));
const objects = [...resources, ...jobs.resources.map((file) => `${JOB}/${file}`)].flatMap((file) => parseAllDocuments(read(file), { merge: true }).map((document) => {
  assert.deepEqual(document.errors, [], file);
  return document.toJS();
}));
const find = (kind, name = 'assertiond') =>
  objects.find((object) => object.kind === kind && object.metadata.name === name);
const pod = find('StatefulSet').spec.template;
const container = pod.spec.containers[0];
const job = find('Job', 'assertiond-tls-key').spec.template;
const matches = (selector) => Object.entries(selector).every(([key, value]) => pod.metadata.labels[key] === value);

// A program with each object as a literal of its type: the compiler refuses what Kubernetes does not know.
function typed(all) {
  return all.map(({ apiVersion, kind, ...rest }, i) => `import type { I${kind} as T${i} } from ` +
    `"kubernetes-models/${apiVersion}";\nexport const o${i}: T${i} = ${JSON.stringify({ apiVersion, kind, ...rest })};\n`)
    .join('');
}
function compile(all) {
  const folder = mkdtempSync('typed-');
  const file = path.join(folder, 'manifests.ts');
  writeFileSync(file, typed(all));
  return spawnSync(process.execPath, ['node_modules/typescript/bin/tsc', '--noEmit', '--strict', '--skipLibCheck',
    '--module', 'nodenext', '--moduleResolution', 'nodenext', '--target', 'es2022', file], { encoding: 'utf8' });
}

describe('deploy/kubernetes', () => {
  it('lists every file that is there', () => {
    assert.deepEqual([...resources, 'kustomization.yaml', JOB].sort(), readdirSync(FOLDER).sort());
    assert.deepEqual([...jobs.resources, 'kustomization.yaml'].sort(), readdirSync(path.join(FOLDER, JOB)).sort());
    assert.equal(jobs.namespace, namespace);
  });

  for (const object of objects) {
    it(`${object.kind} ${object.metadata.name} is valid`, async () => {
      const models = await import(`kubernetes-models/${object.apiVersion}`);
      new models[object.kind](object).validate();
    });
  }

  it('has no field that Kubernetes does not know', () => {
    const { status, stdout } = compile(objects);
    assert.equal(status, 0, stdout);
  });

  it('would not pass with one', () => {
    const wrong = structuredClone(find('StatefulSet'));
    wrong.spec.template.spec.containers[0].readinessProb = {};
    const { status, stdout } = compile([wrong]);
    assert.notEqual(status, 0);
    assert.match(stdout, /readinessProb/);
  });

  it('selects the pods everywhere', () => {
    const selectors = objects.flatMap(({ kind, spec }) => ({
      Service: () => [spec.selector],
      PodDisruptionBudget: () => [spec.selector.matchLabels],
      StatefulSet: () => [spec.selector.matchLabels,
        ...spec.template.spec.topologySpreadConstraints.map((constraint) => constraint.labelSelector.matchLabels)],
    }[kind] ?? (() => []))());
    assert.equal(selectors.length, 6);
    const { key, operator, values } = find('NetworkPolicy').spec.podSelector.matchExpressions[0];
    assert.deepEqual([operator, values], ['In', [pod, job].map(({ metadata }) => metadata.labels[key])]);
    for (const selector of selectors) assert.ok(matches(selector), JSON.stringify(selector));
    const { kind, name } = find('HorizontalPodAutoscaler').spec.scaleTargetRef;
    assert.ok(find(kind, name));
    assert.ok(find('Service', find('StatefulSet').spec.serviceName));
    assert.equal(find('Service').spec.clusterIP, 'None');
    assert.ok(find('Namespace', namespace));
  });

  it('names ports, paths and volumes that exist', () => {
    const ports = new Set(container.ports.map(({ name }) => name));
    const probes = ['startupProbe', 'livenessProbe', 'readinessProbe'].map((probe) => container[probe].httpGet);
    const named = [...probes.map(({ port }) => port),
      ...objects.filter(({ kind }) => kind === 'Service').flatMap(({ spec }) => spec.ports.map((port) => port.targetPort)),
      ...find('NetworkPolicy').spec.ingress.flatMap((rule) => rule.ports.map(({ port }) => port))];
    for (const port of named) assert.ok(ports.has(port), port);
    const listener = source('observe/http_pages.cc');
    for (const probe of probes) assert.deepEqual([probe.port, probe.scheme], ['admin', undefined], 'waits for no handshake');
    for (const probe of probes) assert.ok(listener.includes(`"${probe.path}"`), probe.path);
    const volumes = [...pod.spec.volumes, ...find('StatefulSet').spec.volumeClaimTemplates.map((claim) => claim.metadata)]
      .map(({ name }) => name);
    for (const { volumeMounts } of [container, ...pod.spec.initContainers]) {
      for (const { name } of volumeMounts) assert.ok(volumes.includes(name), name);
    }
  });

  it('listens in a folder of its own in the volume of the socket, where assertionctl looks for it', () => {
    const { listen } = JSON.parse(find('ConfigMap').data['assertiond.json']);
    const { name, mountPath } = container.volumeMounts.find((mount) => mount.name === 'socket');
    assert.equal(path.posix.dirname(path.posix.dirname(listen)), `unix:${mountPath}`);
    assert.deepEqual(pod.spec.volumes.find((volume) => volume.name === name).emptyDir, { medium: 'Memory' }, 'or it is not sticky');
    assert.deepEqual(container.env, [{ name: 'ASSERTIOND_SERVER', value: listen }]);
  });

  it('has memory for what assertiond uses before it disconnects unlisted peers', () => {
    const [, growth] = /kMostMoreMemory = (\d+) \* kMib/.exec(source('service/server.cc'));
    const mebibytes = (text) => Number(/^(\d+)Mi$/.exec(text)[1]);
    const { limits, requests } = container.resources;
    assert.ok(mebibytes(limits.memory) >= mebibytes(requests.memory) + Number(growth), limits.memory);
  });

  it('the job makes the key of TLS once, where the pods find all but a folder for its own certificate read only', () => {
    assert.equal(find('Job', 'assertiond-tls-key').spec.backoffLimit, 0, 'or a wrong PIN is tried again');
    assert.equal(job.spec.restartPolicy, 'Never');
    const [client, generate] = job.spec.initContainers;
    const [csr] = job.spec.containers;
    assert.deepEqual([client.image, generate.image], [pod.spec.initContainers[0].image, container.image]);
    const { tls } = JSON.parse(find('ConfigMap').data['assertiond.json']);
    const names = (mounts) => mounts.map(({ name, mountPath }) => `${name} ${mountPath}`).sort();
    for (const { command, args, volumeMounts } of [generate, csr]) {
      const { status, stderr } = spawnSync(path.join(process.env.KUBERNETES_BIN_DIR, command[0]), [...command.slice(1), ...args, '--help']);
      assert.equal(status, 0, stderr);
      assert.equal(volumeMounts.find(({ mountPath }) => mountPath === path.posix.dirname(tls.certificate)).readOnly, undefined);
      assert.deepEqual(names(volumeMounts), names(container.volumeMounts).filter((name) => !name.startsWith('socket ')));
      for (const { name } of volumeMounts) assert.ok(job.spec.volumes.some((volume) => volume.name === name), name);
    }
  });

  it('runs as nobody in particular, confined', () => {
    for (const { spec } of [pod, job]) {
      assert.equal(spec.securityContext.runAsNonRoot, true);
      assert.equal(spec.securityContext.fsGroup, spec.securityContext.runAsGroup, 'or the PIN is not its own');
    }
    for (const { securityContext } of [pod, job].flatMap(({ spec }) => [...spec.containers, ...spec.initContainers])) {
      assert.equal(securityContext.readOnlyRootFilesystem, true);
      assert.equal(securityContext.allowPrivilegeEscalation, false);
      assert.deepEqual(securityContext.capabilities, { drop: ['ALL'] });
    }
  });

  it('has a configuration that assertiond takes, with the ports and files of the pod', () => {
    const text = find('ConfigMap').data['assertiond.json'];
    writeFileSync('assertiond.json', text);
    execFileSync(path.join(process.env.KUBERNETES_BIN_DIR, 'assertiond'), ['--check-config', 'assertiond.json']);
    const { tls, http_listen: http, admin_listen: admin, hsm } = JSON.parse(text);
    assert.deepEqual([tls.listen, http, admin], container.ports.map(({ containerPort }) => `0.0.0.0:${containerPort}`));
    const files = pod.spec.volumes.flatMap(({ name, secret, configMap }) => ((secret ?? configMap)?.items ?? []).map((item) =>
      path.posix.join(container.volumeMounts.find((mount) => mount.name === name).mountPath, item.path)));
    for (const file of [tls.certificate, tls.client_ca, /pin-source=file:(.*)$/.exec(hsm)[1]]) {
      assert.ok(files.includes(file), file);
    }
  });
});
