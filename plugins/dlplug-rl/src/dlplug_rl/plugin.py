"""What this plugin offers."""

from dlplug import ClaimSpec, DataSpec, ModelSpec, Spec, hookimpl


@hookimpl
def dlplug_specs() -> list[Spec]:
    """Return the models, the data and the claims."""
    return [
        *_claims(),
        DataSpec(
            "gym",
            "dlplug_rl.data.gym:Gym",
            "Environments of gymnasium, or of any package that registers some.",
            lecture="6",
            tags=("environment", "gymnasium", "cartpole", "atari"),
            gives="environment",
            recipe_key="env",
        ),
        ModelSpec(
            "q-learning",
            "dlplug_rl.models.q_learning:QLearning",
            "The value of each action in each state, in a table; for environments whose states can be counted.",
            lecture="6.2",
            tags=("value", "table", "frozenlake", "grid"),
            takes="environment",
            data="gym",
            recipe={
                "data.env": "FrozenLake-v1",
                "data.num_envs": 64,
                "data.episodes": 100,
                "model.epsilon": 1.0,
                "model.lr_decay": 0.65,
                "trainer.max_epochs": 10,
                "trainer.log_every_n_steps": 5,
            },
            recipes={
                "gym:CliffWalking-v1": {
                    "data.num_envs": 4,
                    "data.episodes": 1,
                    "model.epsilon": 0.1,
                    "model.gamma": 1.0,
                    "model.lr_decay": 0.0,
                    "model.lr": 0.5,
                    "trainer.max_epochs": 2,
                }
            },
            learning="reinforcement",
            skip_checks={
                "processes": "a table learns on one process",
                "bf16": "a table has no gradients to shorten",
            },
        ),
        ModelSpec(
            "dqn",
            "dlplug_rl.models.dqn:DQN",
            "Deep Q-learning: a network learns what each action is worth, from replayed experience.",
            lecture="6.2",
            tags=("value", "replay", "double", "dueling", "prioritised", "atari"),
            takes="environment",
            data="gym",
            recipe={"trainer.max_epochs": 19, "trainer.log_every_n_steps": 5, "trainer.gradient_clip_val": 10.0},
            learning="reinforcement",
            check_options={"model.warm_up": 0, "model.batch_size": 8, "trainer.limit_train_batches": 4},
        ),
        ModelSpec(
            "policy-gradient",
            "dlplug_rl.models.policy_gradient:PolicyGradient",
            "REINFORCE: actions of episodes that went well become more probable.",
            lecture="6.2",
            tags=("policy", "reinforce", "baseline", "continuous"),
            takes="environment",
            data="gym",
            recipe={
                "data.num_envs": 4,
                "data.batches": 25,
                "trainer.max_epochs": 10,
                "trainer.log_every_n_steps": 5,
                "trainer.gradient_clip_val": 1.0,
            },
            learning="reinforcement",
        ),
        ModelSpec(
            "ppo",
            "dlplug_rl.models.ppo:PPO",
            "Proximal policy optimisation: a policy improved in small steps, the usual choice today.",
            lecture="6.2",
            tags=("policy", "clipped", "gae", "continuous"),
            takes="environment",
            data="gym",
            recipe={
                "data.num_envs": 8,
                "data.batches": 39,
                "trainer.max_epochs": 10,
                "trainer.log_every_n_steps": 13,
                "trainer.gradient_clip_val": 0.5,
            },
            recipes={
                "gym:Acrobot-v1": {
                    "data.num_envs": 16,
                    "data.batches": 20,
                    "data.episodes": 50,
                    "model.gamma": 0.99,
                    "model.trace": 0.94,
                    "model.steps": 64,
                    "model.rounds": 8,
                },
                "gym:LunarLander-v3": {
                    "data.num_envs": 16,
                    "data.batches": 25,
                    "model.lr": 7e-4,
                    "model.gamma": 0.999,
                    "model.trace": 0.98,
                    "model.steps": 128,
                    "model.rounds": 6,
                    "model.batch_size": 128,
                    "model.entropy": 0.01,
                },
            },
            learning="reinforcement",
        ),
    ]


def _claims() -> list[Spec]:
    def claim(name: str, function: str, sentence: str, *models: str, lecture: str = "6.2") -> Spec:
        return ClaimSpec(name, f"dlplug_rl.claims:{function}", sentence, lecture=lecture, models=models)

    return [
        claim(
            "reward-teaches",
            "reward_is_all_it_takes",
            "Reinforcement learning: choosing actions to maximise the expected long-term reward can be learned.",
            "ppo",
            lecture="6.1",
        ),
        claim("discounted-sum", "discounted_sum", "The value is the expected sum of rewards.", "policy-gradient"),
        claim("q-converges", "convergence", "Q-learning finds Q(s, a) by acting and seeing what comes.", "q-learning"),
        claim("argmax-is-optimal", "greedy_is_optimal", "a = argmax Q(s, a') is an optimal action.", "q-learning"),
        claim(
            "policy-needs-no-q",
            "stochastic_policy",
            "Policy learning finds π(s), a ~ π(s), without Q, and chance where chance is best.",
            "policy-gradient",
        ),
        claim("target-and-replay", "target_and_replay", "Deep Q-learning needs a slower copy and a memory.", "dqn"),
    ]
