"""The LLM Model Registry: register, choose and use the models of your knowledge bases.

from registry import Registry

reg = Registry.connect()
model = reg.resolve(kb="kb-42", type="embedding")
"""

from registry import errors
from registry.actors import Actor, Role
from registry.catalog.specs import EmbeddingConfig, GenerationConfig, ModelCreate, ModelUpdate, NerConfig
from registry.client import Registry, ResolvedModel
from registry.records import (
    AuditEntry,
    AuditPage,
    Change,
    KeyStatus,
    KeyUse,
    KnowledgeBase,
    Model,
    ModelSummary,
    ModelType,
    Reassignment,
    RotationReport,
    Status,
    SyncFailure,
    SyncPlan,
    SyncReport,
    SyncStep,
    TestResult,
    VerifyReport,
)
from registry.settings import Settings

__all__ = [
    "Actor",
    "AuditEntry",
    "AuditPage",
    "Change",
    "EmbeddingConfig",
    "GenerationConfig",
    "KeyStatus",
    "KeyUse",
    "KnowledgeBase",
    "Model",
    "ModelCreate",
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
