"""What a plug-in needs: sections to derive from, the functions that build what they describe, and bases to build on.

A plug-in is a module with a section (pydantic, like ours) and a builder that is registered for it. A recipe names the
module under `imports`; README has a predictor as a worked example, and names one of each other kind.
"""

from sslrun.data.dataset import Dataset, open_dataset
from sslrun.data.images import ImageSet
from sslrun.data.listing import Listing, Split, in_memory
from sslrun.data.pictures import PictureSet
from sslrun.errors import DataError, SslrunError
from sslrun.evaluation import Subject, evaluate
from sslrun.evaluation.problem import Problem
from sslrun.grids.engines import Engine as EngineSection
from sslrun.jobs import Places, pretrain_job
from sslrun.jobs.measuring import Cost, measure
from sslrun.methods.base import Method, Updater, build_method, full_precision
from sslrun.methods.setup import Setup
from sslrun.networks.predictors import CorrelationEstimate, Predictor, build_predictor, predictor_from_correlation
from sslrun.networks.predictors.base import MatrixRule
from sslrun.networks.predictors.correlation import CorrelationRule
from sslrun.recipe.schema.base import Misfit, Section, option
from sslrun.recipe.schema.data import Data as DataSection
from sslrun.recipe.schema.domains import DomainSection
from sslrun.recipe.schema.judging import EvaluationSection
from sslrun.recipe.schema.method import Method as MethodSection
from sslrun.recipe.schema.method import NonContrastive as NonContrastiveSection
from sslrun.recipe.schema.predictor import Predictor as PredictorSection
from sslrun.recipe.schema.predictor import Trained as TrainedPredictorSection
from sslrun.recipe.schema.run import Run as RunSection
from sslrun.report.document import Document
from sslrun.report.formats import report_format
from sslrun.runs.folder import RunFolder
from sslrun.sweeps.engine import Engine, Outcome, Running, open_engine
from sslrun.sweeps.work import Job
from sslrun.trackers.told import Telling, Told, tracker

__all__ = [
    "CorrelationEstimate",
    "CorrelationRule",
    "Cost",
    "DataError",
    "DataSection",
    "Dataset",
    "Document",
    "DomainSection",
    "Engine",
    "EngineSection",
    "EvaluationSection",
    "ImageSet",
    "Job",
    "Listing",
    "MatrixRule",
    "Method",
    "MethodSection",
    "Misfit",
    "NonContrastiveSection",
    "Outcome",
    "PictureSet",
    "Places",
    "Predictor",
    "PredictorSection",
    "Problem",
    "RunFolder",
    "RunSection",
    "Running",
    "Section",
    "Setup",
    "Split",
    "SslrunError",
    "Subject",
    "Telling",
    "Told",
    "TrainedPredictorSection",
    "Updater",
    "build_method",
    "build_predictor",
    "evaluate",
    "full_precision",
    "in_memory",
    "measure",
    "open_dataset",
    "open_engine",
    "option",
    "predictor_from_correlation",
    "pretrain_job",
    "report_format",
    "tracker",
]
