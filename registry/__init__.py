"""The LLM Model Registry: register, choose and use the models of your knowledge bases.

from registry import Registry

reg = Registry.connect()
model = reg.resolve(kb="kb-42", type="embedding")
"""

from registry import errors
from registry.actors import Actor, Role
from registry.audit.records import AuditEntry, AuditPage, Change, VerifyReport
from registry.catalog.arguments import ModelFilter
from registry.catalog.specs import EmbeddingConfig, GenerationConfig, ModelCreate, ModelUpdate, NerConfig
from registry.client import Registry
from registry.keys.records import KeyStatus, KeyUse, RotationReport
from registry.proxy.records import SyncFailure, SyncPlan, SyncReport, SyncStep
from registry.records import Deletion, KnowledgeBase, Model, ModelSummary, ModelType, Reassignment, Status, TestResult
from registry.resolve.answer import ResolvedModel
from registry.settings import Settings

__all__ = [
    "Actor",
    "AuditEntry",
    "AuditPage",
    "Change",
    "Deletion",
    "EmbeddingConfig",
    "GenerationConfig",
    "KeyStatus",
    "KeyUse",
    "KnowledgeBase",
    "Model",
    "ModelCreate",
    "ModelFilter",
    "ModelSummary",
    "ModelType",
    "ModelUpdate",
    "NerConfig",
    "Reassignment",
    "Registry",
    "ResolvedModel",
    "Role",
    "RotationReport",
    "Settings",
    "Status",
    "SyncFailure",
    "SyncPlan",
    "SyncReport",
    "SyncStep",
    "TestResult",
    "VerifyReport",
    "errors",
]
