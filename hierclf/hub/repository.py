"""Upload to the Hugging Face Hub, and download from it; `HF_ENDPOINT` names another server.

Only files that a model directory has are downloaded: safetensors, JSON and Parquet, which are
checked like any other model directory when they are loaded. Nothing is unpickled or executed.
"""

import re
import tempfile
import warnings
from pathlib import Path
from types import ModuleType

from hierclf.bundle.checksums import DESCRIPTION
from hierclf.bundle.directory import SCORE_TABLE, TRAINING_IMAGES, Bundle
from hierclf.bundle.rule_file import RULE_FILE
from hierclf.bundle.weights_check import STATES, WEIGHTS
from hierclf.errors import one_line
from hierclf.hub.folder import write_folder

_FILES = (DESCRIPTION, RULE_FILE, WEIGHTS, STATES, SCORE_TABLE, TRAINING_IMAGES)
_ADDRESS = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")


def downloaded(model: str) -> Path:
    """The model directory of a repository, downloaded.

    Args:
        model: hf://OWNER/NAME, or hf://OWNER/NAME@REVISION: a branch, tag or commit.

    Raises:
        ValueError: an address of another form, a repository that does not exist or cannot be
            reached, or huggingface_hub is not installed; one line.
    """
    found = _ADDRESS.fullmatch(model)
    if found is None:
        form = "hf://OWNER/NAME or hf://OWNER/NAME@REVISION"
        raise ValueError(f"a model on the Hugging Face Hub is called {form}, but got {model}")
    hub, (repo_id, revision) = _hub(), found.groups()
    try:
        folder = hub.snapshot_download(repo_id, revision=revision, allow_patterns=list(_FILES))
    except Exception as error:  # of HTTP, of the network and of the cache
        what = f"hf://{repo_id} must be a model that can be downloaded, but {_first_line(error)}"
        raise ValueError(what) from None
    return Path(folder)


def push(bundle: Bundle, repo_id: str, *, private: bool = True, license: str | None = None) -> str:
    """Write a repository of the Hub, which is created where it is missing; needs a login.

    Args:
        bundle: a model with thresholds.
        repo_id: OWNER/NAME.
        private: whether a new repository is.
        license: of the model, an identifier of the Hub such as "apache-2.0".

    Returns:
        The address of the new commit.

    Raises:
        ValueError: as `write_folder`, the Hub refuses or cannot be reached, or huggingface_hub is
            not installed; one line.
    """
    if _ADDRESS.fullmatch(f"hf://{repo_id}") is None or "@" in repo_id:
        raise ValueError(f"a repository is called OWNER/NAME, but got {repo_id}")
    hub = _hub()
    with tempfile.TemporaryDirectory(prefix="hierclf-hub-") as temporary:
        folder = Path(temporary) / "model"
        write_folder(bundle, folder, license=license, repo_id=repo_id)
        try:
            api = hub.HfApi()
            api.create_repo(repo_id, private=private, exist_ok=True)
            with warnings.catch_warnings():
                # The table of held-out scores belongs to the model, though it is Parquet.
                warnings.filterwarnings("ignore", message=".*commit a data file", module="hugg.*")
                commit = api.upload_folder(
                    repo_id=repo_id, folder_path=folder, commit_message="Upload a model of hierclf"
                )
        except Exception as error:  # of HTTP, of the network and of the login
            raise ValueError(f"{repo_id} must take an upload, but {_first_line(error)}") from None
    return str(commit.commit_url)


def _hub() -> ModuleType:
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        what = f"the Hugging Face Hub needs {error.name}: run pip install 'hierclf[hub]'"
        raise ValueError(what) from None
    return huggingface_hub


def _first_line(error: Exception) -> str:
    return one_line(ValueError(str(error).strip().split("\n\n")[0]))[:300]
