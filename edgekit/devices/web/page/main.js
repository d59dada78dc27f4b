// What this page does: measure a file in this browser, and show what its network makes of pictures.

import {facts, missing} from './facts.js';
import {serve} from './live.js';
import {measure} from './measure.js';
import {offer, picture} from './pictures.js';
import {fetched} from './runner.js';
import {$, alarm, bullets, busy, humanBytes, rows, say} from './show.js';

const SHOWN = {browser: 'browser', system: 'system', cores: 'cores', isolated: 'isolated (threads)', webgpu: 'WebGPU', battery: 'battery'};

async function main() {
  const response = await fetch('subject.json');
  if (!response.ok) throw new Error(`subject.json: ${response.status}`);
  const subject = await response.json();
  document.title = `${subject.model} in this browser – edgekit`;
  $('title').textContent = subject.model;
  $('about').textContent = `${subject.task}, ${subject.precision}, ${humanBytes(subject.size_bytes)}, ${subject.engine_package} ${subject.engine_version}`;
  await offline(subject);
  const told = await facts();
  rows($('facts'), Object.fromEntries(Object.entries(SHOWN).map(([name, term]) => [term, told[name]])));
  bullets($('missing'), missing(subject.backend));
  if (subject.live) await live(subject); else await alone(subject);
}

async function live(subject) {
  const shown = async () => pictures(subject, await fetched(subject.model_file));
  try {
    // While edgekit is there: a page that no browser keeps offline has all in its memory then.
    await serve(subject, async summary => {
      result(summary);
      await shown().catch(error => alarm(`No pictures: ${error.message}`));
    });
    say('Done: edgekit has the samples, and this page may be closed.');
  } catch (error) {
    if (!error.ended) throw error;
    alarm(error.message);
    say('Not measured.');
    await shown().catch(() => {});  // what is not kept offline is gone with edgekit
  }
}

async function alone(subject) {
  say('Loading the model …');
  const model = await fetched(subject.model_file);
  say('Ready.');
  $('start').hidden = false;
  $('start').onclick = async () => {
    $('start').disabled = true;
    alarm('');
    busy(true);
    try {
      const {summary, document: whole} = await measure(subject, model, say);
      result(summary);
      $('save').href = URL.createObjectURL(new Blob([JSON.stringify(whole, null, 2)], {type: 'application/json'}));
      $('save').hidden = false;
      say('Done.');
    } catch (error) {
      alarm(`That did not work: ${error.message}`);
      say('Not measured.');
    } finally {
      busy(false);
      $('start').disabled = false;
    }
  };
  await pictures(subject, model);
}

function result(summary) {
  busy(false);
  rows($('figures'), summary, ['median']);
  $('result').hidden = false;
}

async function pictures(subject, model) {
  if (!subject.known.picture) return;
  const known = new Blob([await fetched(subject.known.picture)]);
  offer(subject, model, subject.backend, known);
  await picture(known);
}

// Keeps this page for when there is no network, where browsers allow it.
async function offline(subject) {
  if (!isSecureContext || !navigator.serviceWorker) return;
  try {
    await navigator.serviceWorker.register('sw.js');
    const {active} = await navigator.serviceWorker.ready;
    active.postMessage([...subject.page_files, 'subject.json', subject.model_file, ...subject.known_files]);
    if (!navigator.serviceWorker.controller) {
      await new Promise(resolve => {
        navigator.serviceWorker.addEventListener('controllerchange', resolve, {once: true});
        setTimeout(resolve, 2000);
      });
    }
  } catch { /* a certificate that nobody vouches for: the page works, but not offline */ }
  // The worker adds the headers that isolate a page where its host sends none: they count from the next load.
  if (!self.crossOriginIsolated && navigator.serviceWorker.controller && !sessionStorage.reloaded) {
    sessionStorage.reloaded = 'yes';
    location.reload();
    await new Promise(() => {});
  }
}

main().catch(error => {
  alarm(error.message);
  say('Stopped.');
});
