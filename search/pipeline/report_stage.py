"""The last stage: `report.html`, something to open."""

from hierclf.errors import one_line
from hierclf.run_report.report import write_report
from search.pipeline.run import Run
from search.runtime.progress import console


def report_stage(run: Run) -> None:
    """Write the run's report; what keeps it from being written is one line, and costs nothing."""
    novel = run.prepared.novel
    caches = [run.prepared.cache, *([] if novel is None else [novel.cache])]
    try:
        write_report(run.folder.path, caches)
    except Exception as error:  # everything else is finished by now
        run.folder.report.unlink(missing_ok=True)  # that of an earlier start shows other figures
        console.print(f"  report.html could not be written: {one_line(error)}")
