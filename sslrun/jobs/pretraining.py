"""Pretrain one run: find its folder, hold it, train what is left, judge it, and compute its evaluations."""

import os
import shlex
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sslrun.data import Dataset
from sslrun.data.decoding import Unreadable
from sslrun.data.images import ImageSet
from sslrun.data.suiting import require
from sslrun.errors import DataError, InputError, Interrupted, RunFailed, RunHeld, SslrunError
from sslrun.evaluation.judge import Judge
from sslrun.files import REFUSED, replacing, unlocked, whose, write_json
from sslrun.jobs.evaluating import asked_for, evaluation_job
from sslrun.jobs.places import Places, choose_device, identify
from sslrun.jobs.processes import others_needed
from sslrun.jobs.stopping import StopSignals
from sslrun.jobs.threads import check_threads, use_threads
from sslrun.networks.encoder import Encoder
from sslrun.networks.group import ALONE, Group
from sslrun.networks.precision import has_bf16
from sslrun.recipe import plugins, to_yaml
from sslrun.recipe.schema import Recipe
from sslrun.runs.cells import Number
from sslrun.runs.environment import environment
from sslrun.runs.folder import RunFolder, create, find
from sslrun.runs.lease import hold
from sslrun.runs.notes import take_along
from sslrun.runs.records import EvaluationRecord, State, utc_now
from sslrun.runs.verdict import COLLAPSES, evidence, verdict
from sslrun.training.memory import check_memory
from sslrun.training.pretrain import Observer, assemble, pretrain
from sslrun.training.starting import encoder_metadata, starting_encoder

Watch = Callable[[dict[str, Any]], None]
Begin = Callable[[RunFolder, ImageSet | None], None]


def pretrain_job(
    recipe: Recipe,
    where: Places,
    *,
    fresh: bool = False,
    retried: bool = False,
    watch: Watch = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
    begin: Begin = lambda *_: None,
    group: Group = ALONE,
) -> tuple[RunFolder, list[EvaluationRecord]]:
    """Pretrain the recipe's run unless that is done, compute the evaluations that are missing; its folder, and these.

    `begin` is called once the folder is held, with the images if there is training to do; `watch` is shown where
    training stands. `fresh` renames an old folder of the run and starts anew. Of several processes this is the one
    that leads the `group`; the others call `follow_job`. Raises `RunHeld` if another process works on the run,
    `Interrupted`, and `RunFailed`; the run's status then tells why.
    """
    device = choose_device(recipe.run.device)
    require(recipe, where.data, group.size)
    check_threads(recipe.run.threads)
    name = identify(recipe, where.data)
    there = find(where.results, name)
    # What the recipe starts from is looked at before anything is made.
    new = fresh or there is None or not there.status.finished_well
    if new:
        check_memory(recipe, where.data.shape, where.data.counts("pretrain").total, device)
    encoder = starting_encoder(recipe, where.data.shape[0]) if new else None
    if fresh and there is not None and _begun(there):
        with hold(there):
            say(f"the old run is kept as {there.set_aside().name}")
    folder = create(where.results, recipe.name, name, to_yaml(recipe), recipe.model_dump(mode="json"))
    if take_along(folder, recipe.run.note, recipe.run.tags):
        say(f'it was done before and keeps its note: sslrun note {folder.path.name} --note "..." replaces it')
    if where.results in unlocked:
        say(f"{where.results} is on a file system without locks: start one process at a time there, or use a local one")
    if recipe.training.precision == "bf16" and has_bf16(device) is False:
        say(f"bf16 is emulated on this {device.type}, many times slower: try --set training.precision=float32")
    with StopSignals(patient=group.size > 1) as signals, hold(folder) as lease:

        def seen(row: dict[str, Any]) -> None:
            lease.beat()
            watch(row)

        kept = folder.status.threads
        use_threads(recipe.run.threads, kept, device.type)
        if not group.any(encoder is not None and not folder.status.finished_well) or encoder is None:
            begin(folder, None)
        else:
            if kept is not None and recipe.run.threads not in (None, kept):
                say(f"it keeps to the {kept} CPU threads that it began with, for the same bits: --fresh changes that")
            with _failures_recorded(folder, retried), others_needed():
                _train(recipe, where, folder, encoder, device, signals, begin, seen, lease.beat, group, say)
        return folder, evaluation_job(folder, recipe, where, asked_for(recipe), lease.beat, group)


def follow_job(recipe: Recipe, where: Places, group: Group) -> None:
    """Do the recipe's run as one of several processes that does not lead: it reads, and writes nothing."""
    device = choose_device(recipe.run.device)
    require(recipe, where.data, group.size)
    check_threads(recipe.run.threads)
    with StopSignals(patient=True) as signals:
        training = group.any(False)  # the leader knows, once it has found or made the run's folder and holds it
        folder = find(where.results, identify(recipe, where.data))
        if folder is None:
            raise RunFailed(
                "this process does not see the run's folder",
                where=str(where.results),
                remedy="All processes of a run need the same results folder, on a file system that they share.",
            )
        use_threads(recipe.run.threads, folder.status.threads, device.type)
        if training:
            images = where.data.images("pretrain")
            trainer = assemble(recipe, starting_encoder(recipe, where.data.shape[0]), images, device, group)
            with signals.deferred():
                pretrain(
                    recipe,
                    trainer,
                    images,
                    folder,
                    encoder_metadata={},
                    observers=_probes(recipe, where, group),
                    stop_asked=lambda: signals.asked,
                )
        evaluation_job(folder, recipe, where, asked_for(recipe), group=group)


def _begun(folder: RunFolder) -> bool:
    """Whether there is anything in a run's folder to be kept."""
    with suppress(InputError):
        return folder.status.state != State.QUEUED
    return True  # its status is damaged


def _train(
    recipe: Recipe,
    where: Places,
    folder: RunFolder,
    encoder: Encoder,
    device: torch.device,
    signals: StopSignals,
    begin: Begin,
    watch: Watch,
    beat: Callable[[], None],
    group: Group,
    say: Callable[[str], None],
) -> None:
    """Train the run in `folder`, which this process holds, and write its verdict."""
    status, threads = folder.status, torch.get_num_threads()
    images = _images(recipe, where.data, folder, beat)
    begin(folder, images)
    if folder.checkpoint.exists() and status.processes != group.size:
        counts = f"{group.size} process{'es' * (group.size > 1)} after {status.processes}"
        say(f"it goes on in {counts}: the same batches and draws, equal within rounding")
    started = status.started or utc_now()
    folder.update_status(
        state=State.RUNNING,
        started=started,
        threads=threads,
        processes=group.size,
        epochs=recipe.training.epochs,
        data=str(where.data.root.resolve()) if where.data.cached or where.data.files else None,
        reason=None,
    )
    own: dict[str, Any] = {"data": where.data.fingerprint}
    own |= {"plugins": of} if (of := dict(plugins.digests(recipe.imports))) else {}
    write_json(folder.environment, environment(threads) | own)
    for name, source in plugins.sources_of(recipe.imports).items():
        (folder.plugins / name).parent.mkdir(parents=True, exist_ok=True)
        with replacing(folder.plugins / name) as part:
            part.write_bytes(source)
    trainer = assemble(recipe, encoder, images, device, group, say=say)
    begun = time.perf_counter()

    def stop_asked() -> bool:  # asked after every step, so that slow steps show life too
        beat()
        return signals.asked

    try:
        with signals.deferred():
            pretrain(
                recipe,
                trainer,
                images,
                folder,
                encoder_metadata=encoder_metadata(recipe, images),
                observers=_probes(recipe, where, group, beat),
                watch=watch,
                stop_asked=stop_asked,
            )
    finally:
        with suppress(OSError, InputError):  # the folder may have gone, or its disk be full: why is told by what rises
            last = folder.history.last()
            seconds = status.seconds + time.perf_counter() - begun
            folder.update_status(epoch=last["epoch"] if last else 0, seconds=round(seconds, 3))
    last = folder.history.last() or {}
    if not {"std", "rank"} <= last.keys():
        remedy = "Put a copy of it back, or start the run anew with --fresh."
        raise RunFailed("its last row has no std and rank to judge by", where=str(folder.history.path), remedy=remedy)
    seen = evidence(last, recipe.training.collapse, sized=recipe.method.sized)
    kind = verdict(seen)
    state = State.COLLAPSED if kind in COLLAPSES else State.DONE
    folder.update_status(state=state, finished=utc_now(), verdict=kind, evidence=seen)


def _images(recipe: Recipe, data: Dataset, folder: RunFolder, beat: Callable[[], None]) -> ImageSet:
    """The images to train on. Pictures to judge by are decoded too: what is wrong with them is told before hours of
    training. Raises `DataError`."""
    judged = [split for section in recipe.judged().values() for split in section.SPLITS]
    try:
        images = data.images("pretrain", lambda *_: beat())
        for split in judged if data.cached else ():
            data.images(split, lambda *_: beat())
        return images
    except Unreadable as error:
        command = f"sslrun data check {shlex.quote(str(folder.recipe))} --data {shlex.quote(str(data.root))}"
        remedy = f"{error.remedy}\nAll that can't be read, and how to move them away: {command}"
        raise DataError(error.what, where=error.where, remedy=remedy) from error


def _probes(recipe: Recipe, where: Places, group: Group, beat: Callable[[], None] = lambda: None) -> list[Observer]:
    """The evaluations of frozen features after every `evaluation.every` epochs, as `probe.<kind>.<metric>`, by all
    processes together; none if they are not asked for."""
    every = recipe.evaluation.every
    if not every:
        return []
    judge = Judge(recipe, where.data, where.results, choose_device(recipe.run.device), beat, group)

    def observe(epoch: int, encoder: nn.Module) -> dict[str, float]:
        if epoch == 0 or epoch % every:
            return {}
        subject = judge.subject(encoder)
        return {
            Number(kind, metric=key).signal: value
            for kind, section in recipe.judged().items()
            if section.FROZEN
            for key, value in judge.metrics(section, subject).items()
            if isinstance(value, float)
        }

    return [observe]


@contextmanager
def _failures_recorded(folder: RunFolder, retried: bool) -> Iterator[None]:
    """Write what went wrong into the run's status, and its stack trace into the log; then let it rise.

    Where runs are `retried`, only designed errors are final; the trace of any other is the caller's to keep.
    """
    try:
        yield
    except (Interrupted, KeyboardInterrupt, RunHeld):
        raise
    except OSError as error:
        path = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else folder.path
        failure = RunFailed(
            f"a file can't be read or written: {error.strerror or error}",
            where=str(path),
            remedy=(f"{whose(path)}. " if error.errno in REFUSED else "")
            + "Make room or mend it, then run the same command: it goes on from the last checkpoint.",
        )
        with suppress(OSError, InputError):  # the disk that is full may be the one that holds the status
            folder.update_status(state=State.FAILED, finished=utc_now(), reason=str(failure))
        raise failure from error
    except Exception as error:
        designed = isinstance(error, SslrunError)
        if retried and not designed:
            raise
        reason = str(error) if designed else plugins.reason(error)
        with suppress(OSError, InputError):  # what went wrong is the news, not that it can't be kept
            folder.update_status(state=State.FAILED, finished=utc_now(), reason=reason)
        with suppress(OSError), folder.log.open("a", encoding="utf-8") as log:
            log.write(traceback.format_exc())
            error.add_note(f"The whole traceback is kept in {folder.log}")
        raise
