"""A recipe is checked before anything is spent; every mistake is named with file, line and a way out."""

from dataclasses import replace
from pathlib import Path

import pytest

from publius.engines import EngineSpec, open_engine
from publius.errors import DataError
from publius.pipeline.check import check_prices, check_recipe
from publius.pipeline.experiment.recipe import load_experiment
from publius.pipeline.judges import check_further_judges, judge_pms
from publius.pipeline.plan import _evaluate
from publius.pipeline.recipe import (
    ModelRole,
    engine_notes,
    judge_roles,
    limit_recipe,
    load_recipe,
    set_engine,
    shipped_recipes,
)
from publius.pipeline.stage_table import stage_of
from publius.store import Budget


def write(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


def test_shipped_recipes_load() -> None:
    assert {"demo", "full"} <= set(shipped_recipes())
    for name in shipped_recipes():
        experiment = load_experiment(name, environment={})
        assert (experiment or load_recipe(name, environment={})).name == name


def test_a_file_needs_only_what_it_changes(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, "seed = 7\n[revise]\nrounds = 1\n"), environment={})
    assert (recipe.name, recipe.seed, recipe.revise.rounds, recipe.constitution) == (
        "mine",
        7,
        1,
        "harmlessness",
    )


def test_precedence_is_flag_then_environment_then_file_then_default(tmp_path: Path) -> None:
    path = write(tmp_path, "seed = 1\n[revise]\nrounds = 1\ndraft_tokens = 1\n")
    environment = {"PUBLIUS_SET_REVISE__ROUNDS": "2", "PUBLIUS_SET_SEED": "2", "OTHER": "x"}
    recipe = load_recipe(path, settings=["seed=3"], environment=environment)
    assert (recipe.seed, recipe.revise.rounds, recipe.revise.draft_tokens) == (3, 2, 1)
    assert recipe.revise.critique_tokens == 64


def test_settings_read_text_numbers_lists_and_nested_tables() -> None:
    settings = [
        "constitution=hhh",
        "models.judge.model=some/path.gguf",
        'stages=["revise"]',
        "label.construction=0.7",
    ]
    recipe = load_recipe("demo", settings=settings, environment={})
    assert recipe.constitution == "hhh"
    assert recipe.models.judge.model == "some/path.gguf"
    assert recipe.models.judge.engine == "openvino"
    assert recipe.stages == ("revise",)
    assert recipe.label.construction == 0.7


@pytest.mark.parametrize(
    ("text", "where", "what", "todo"),
    [
        ("seed = \n", "mine.toml:1", "not valid TOML", "correct"),
        ("a = 1\nb = [1,\n", "mine.toml", "not valid TOML", "correct"),
        ("sed = 1\n", "mine.toml:1", "unknown key 'sed'", "did you mean 'seed'"),
        (
            "seed = 1\n[revise]\nround = 2\n",
            "mine.toml:3",
            "unknown key 'revise.round'",
            "did you mean 'rounds'",
        ),
        (
            "[models.crtic]\nmodel = 'x'\n",
            "mine.toml:1",
            "unknown key 'models.crtic'",
            "did you mean 'critic'",
        ),
        ("seed = 'one'\n", "mine.toml:1", "seed: expected a whole number", "correct"),
        ("seed = 1.5\n", "mine.toml:1", "seed: expected a whole number", "correct"),
        ("seed = true\n", "mine.toml:1", "seed: expected a whole number", "correct"),
        ("stages = 'revise'\n", "mine.toml:1", "stages: expected a list", "correct"),
        ("\n[revise]\nmode = 'critic'\n", "mine.toml:3", "revise.mode: expected one of", "correct"),
        ("[revise]\nrounds = 0\n", "mine.toml:1", "rounds must be at least 1", "correct"),
        ("[label]\nconstruction = 0.4\n", "mine.toml:1", "construction is in (0.5, 1]", "correct"),
        ("[evaluate]\ntemperature = -1\n", "mine.toml:1", "temperature must not be negative", "correct"),
        ("revise = 3\n", "mine.toml:1", "revise: expected the fields", "correct"),
        ("rl_start = 'rl'\n", "mine.toml:1", "rl_start: expected one of", "correct"),
    ],
)
def test_a_mistake_is_named_with_its_line(
    tmp_path: Path, text: str, where: str, what: str, todo: str
) -> None:
    with pytest.raises(DataError) as caught:
        load_recipe(write(tmp_path, text), environment={})
    assert where in (caught.value.where or "")
    assert what in caught.value.what
    assert todo in (caught.value.todo or "")


@pytest.mark.parametrize(
    ("setting", "what"),
    [
        ("seed", "a setting reads key=value"),
        ("=3", "a setting reads key=value"),
        ("sead=3", "unknown key 'sead'"),
        ("revise.roundz=3", "unknown key 'revise.roundz'"),
        ("seed.deep=3", "unknown key 'seed.deep'"),
        ("revise.rounds=many", "revise.rounds: expected a whole number"),
    ],
)
def test_a_wrong_setting_is_named(setting: str, what: str) -> None:
    with pytest.raises(DataError) as caught:
        load_recipe("demo", settings=[setting], environment={})
    assert what in caught.value.what


def test_a_missing_recipe_names_the_shipped_ones() -> None:
    with pytest.raises(DataError, match="no recipe there") as caught:
        load_recipe("dmo", environment={})
    assert "did you mean 'demo'" in (caught.value.todo or "")


def test_binary_and_oversized_recipes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"name = '\xff\xfe'")
    with pytest.raises(DataError, match="UTF-8"):
        load_recipe(str(path), environment={})
    path.write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(DataError, match="1 MiB"):
        load_recipe(str(path), environment={})


def test_a_limit_bounds_every_stage_and_never_raises_a_number() -> None:
    recipe = limit_recipe(load_recipe("demo", environment={}), 5)
    assert (recipe.revise.n_red_team, recipe.label.n_helpful, recipe.evaluate.n_red_team) == (5, 5, 5)
    assert limit_recipe(recipe, 50).revise.n_red_team == 5


@pytest.mark.parametrize(
    ("setting", "what"),
    [
        ("rl.num_generations=1", "num_generations must be at least 2"),
        ("rl.steps=0", "steps must be at least 1"),
        ("rl.weight_helpful=-1", "weight_helpful must be at least 0"),
        ("rl.learning_rate=nan", "learning_rate must be at least"),
        ("pm.learning_rate=-1.0", "learning_rate must be at least"),
        ("sft.epochs=0", "epochs must be at least 1"),
        ("dpo.beta=0", "beta must be at least"),
        ("label.top_p=7", "top_p is in (0, 1]"),
        ("evaluate.n_resamples=10", "n_resamples must be at least 100"),
        ("revise.show_answer=1", "revise.show_answer"),
    ],
)
def test_a_value_that_cannot_work_is_refused_at_once(setting: str, what: str) -> None:
    with pytest.raises(DataError) as caught:
        load_recipe("demo", settings=[setting], environment={})
    assert what in caught.value.what


ON_A_CLUSTER = """
[models.critic]
model = "m"
engine = "ray"
options = { base_urls = ["http://one/v1", "http://two/v1"], workers = 4, votes = 8 }
[models.judge]
model = "m"
engine = "openai"
options = { base_url = "http://here/v1", votes = 8 }
"""


def test_a_role_that_leaves_the_cluster_leaves_the_clusters_options_there(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, ON_A_CLUSTER), environment={})
    moved = set_engine(recipe, "openai")
    assert moved.models.critic == ModelRole("m", "openai", {"votes": 8, "base_url": "http://one/v1"})
    assert moved.models.judge == recipe.models.judge
    open_engine(EngineSpec("openai", "m", moved.models.critic.options)).close()
    assert engine_notes(recipe, moved) == (
        "models.critic: left out are options that 'openai' does not have: base_urls, workers; "
        "base_url is http://one/v1",
    )


def test_a_role_that_goes_to_the_cluster_and_back_keeps_its_options(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, ON_A_CLUSTER), environment={})
    moved = set_engine(recipe, "ray")
    assert moved.models.critic == recipe.models.critic
    assert moved.models.judge == ModelRole("m", "ray", recipe.models.judge.options)
    assert engine_notes(recipe, moved) == ()
    assert set_engine(moved, "openai").models.judge == recipe.models.judge


def test_an_engine_that_is_not_known_gets_all_options(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, ON_A_CLUSTER), environment={})
    moved = set_engine(recipe, "somebody-elses")
    assert moved.models.critic.options == recipe.models.critic.options


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        (["pm.mix.asked=1", "pm.mix.human=1"], "pm.mix.human"),
        (["pm.mix.construction=1", "label.construction=0"], "pm.mix.construction"),
    ],
)
def test_a_mixture_of_a_set_that_will_not_be_there_is_refused_before_the_run(
    settings: list[str], place: str
) -> None:
    with pytest.raises(DataError, match="there are none to train on") as caught:
        check_recipe(load_recipe("demo", settings=settings))
    assert caught.value.where == place


def test_a_preference_model_needs_labels_or_people() -> None:
    human = load_recipe("human_pm")
    assert [stage.name for stage in check_recipe(human)] == ["pm"]
    with pytest.raises(DataError, match="needs stage 'label'"):
        check_recipe(replace(human, human_preferences=()))


JUDGES = """
[evaluate]
judges = [
  { model = "qwen2.5-coder-1.5b-instruct", engine = "openai", options = { base_url = "http://one/v1" } },
  { pm = "PM" },
]
"""


def test_further_judges_are_roles_with_prices_plans_and_engines(tmp_path: Path) -> None:
    text = JUDGES.replace("PM", str(tmp_path)).replace("qwen2.5-coder-1.5b-instruct", "other")
    (tmp_path / "stages/pm/model").mkdir(parents=True)
    (tmp_path / "stages/pm/model/config.json").write_text("{}")
    (tmp_path / "stages/pm/model/chat_template.jinja").write_text("{{ messages }}")
    recipe = load_recipe(write(tmp_path, text), environment={})
    assert judge_roles(recipe) == {
        "evaluate.judges[0]": ModelRole("other", "openai", {"base_url": "http://one/v1"})
    }
    assert judge_pms(recipe) == {
        str(tmp_path): tmp_path / "stages/pm/model"
    }  # of a run: the one that it made
    check_further_judges(recipe)
    for later in (2, 10):
        made = tmp_path / f"stages/pm-{later}/model"
        made.mkdir(parents=True)
        assert judge_pms(recipe) == {str(tmp_path): made}  # of the last round
        (made / "config.json").write_text("{}")
        (made / "chat_template.jinja").write_text("{{ messages }}")
    with pytest.raises(DataError, match="price of every model") as refused:
        check_prices(recipe, [stage_of("evaluate")], Budget(max_cost=1.0))
    assert refused.value.where == "evaluate.judges[0].price"
    assert judge_roles(set_engine(recipe, "ray"))["evaluate.judges[0]"].engine == "ray"
    alone = load_recipe(write(tmp_path, ""), environment={})
    n_answers = 3 * (recipe.evaluate.n_red_team + recipe.evaluate.n_helpful)  # start, sft, rl
    assert _evaluate(recipe).calls - n_answers == 2 * (_evaluate(alone).calls - n_answers)


@pytest.mark.parametrize(
    ("judge", "said"),
    [
        ('{ model = "qwen2.5-coder-1.5b-instruct" }', "a judge of this run already"),
        ('{ pm = "preference model" }', "a judge of this run already"),
        ('{ pm = "nowhere" }', "there is no preference model"),
    ],
)
def test_a_further_judge_that_is_not_there_or_there_twice_is_refused(
    tmp_path: Path, judge: str, said: str
) -> None:
    recipe = load_recipe(write(tmp_path, f"[evaluate]\njudges = [{judge}]\n"), environment={})
    with pytest.raises(DataError, match=said):
        check_further_judges(recipe)
